"""docs/options.md: all options of `zerolane serve` on one page, made from the same table as the options themselves."""

from zerolane.options import Setting, option_name, settings, shown_default, wanted_value

_HEAD = """\
# The options of `zerolane serve`

Made by `scripts/write_reference`; do not edit. Every option is also a key of the YAML file that `--config` names, with
dashes or underscores, and the models are `models: [NAME=MODEL, ...]` there: the command line wins over the file, the
file over the defaults. Switches have a `--no-` form. An unknown option or key, or a value of the wrong type, stops the
start and is named.

Keys are better said where `ps` does not show them: in the environment as `ZEROLANE_API_KEY` or `VLLM_API_KEY` (several
with commas) and `ZEROLANE_ADMIN_KEY`, or in a file, `--api-key-file`.

| option | takes | default | |
|---|---|---|---|
"""


def options_page() -> str:
    """The page's Markdown."""
    return _HEAD + "".join(_row(setting) for setting in settings())


def _row(setting: Setting) -> str:
    takes = "" if setting.kind is bool else wanted_value(setting.kind, setting.meta)
    default = shown_default(setting)
    shown = f"`{default}`" if default else ""
    description = str(setting.meta.description).replace("|", "\\|")
    return f"| `{option_name(setting.name)}` | {takes} | {shown} | {description} |\n"
