"""The real supervisor over stand-in children: `stand_in_server.py [MODEL ...] [serve options]`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from zerolane.children import Role
from zerolane.model_specs import model_specs
from zerolane.options import OptionParser, add_serve_options, serve_config
from zerolane.supervisor import Supervisor

CHILD = Path(__file__).with_name("stand_in_child.py")


def stand_in(role: Role, control_fd: int) -> Sequence[str]:
    return [sys.executable, str(CHILD), role.value, "--control-fd", str(control_fd)]


def main() -> int:
    parser = OptionParser()
    parser.add_argument("model", nargs="*")
    add_serve_options(parser)
    options = parser.parse_args()
    config = serve_config(options)
    return Supervisor(config, model_specs(options.model, config.served_model_name), stand_in).run()


if __name__ == "__main__":
    sys.exit(main())
