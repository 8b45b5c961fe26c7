"""Function settings: where functions are, and what each call may use."""

from datetime import timedelta
from pathlib import Path

import msgspec


class FunctionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`functions_folder` (default: `functions`, in `directory` where that is set) is looked at each `functions_look`.

    Each file in it has a process of its own. `functions_deadline` bounds a call and `functions_start_deadline` the
    import of a file, both by the clock; `functions_cpu` the CPU of either; `functions_memory_mb` what a process may use
    beyond Python itself. `functions_output_kb` is how much of what a call writes is kept. `functions_private_addresses`
    allows addresses within one's own network, and without TLS.
    """

    functions_folder: str = ""
    directory: str = ""
    functions_look: timedelta = timedelta(seconds=1)
    functions_deadline: timedelta = timedelta(seconds=10)
    functions_start_deadline: timedelta = timedelta(seconds=10)
    functions_cpu: timedelta = timedelta(seconds=5)
    functions_memory_mb: int = 256
    functions_output_kb: int = 16
    functions_private_addresses: bool = False

    @property
    def folder(self) -> Path:
        """The folder, from the root."""
        return Path(self.functions_folder or Path(self.directory) / "functions").absolute()

    @property
    def has_example(self) -> bool:
        """Whether there is to be an example from the start: in the folder of a mesh on one machine."""
        return bool(self.directory) and not self.functions_folder
