"""The copy of pyfive's parsers is theirs, and pyfive itself stays as it was for everybody else."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT

SOURCE = ROOT / "fixtures" / "keras2" / "masking" / "model.h5"


def run(code: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run([sys.executable, "-c", code, str(SOURCE)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_file_is_read_without_pyfives_package() -> None:
    code = "import sys, converters; converters.read(sys.argv[1]); print(*[n for n in sys.modules if 'pyfive' in n])"
    assert run(code) == ""


def test_pyfive_is_whole_before_and_after() -> None:
    once = "pyfive.File(sys.argv[1]).attrs['backend'].lower()"
    assert run(f"import sys, pyfive; import converters; converters.read(sys.argv[1]); print({once})") == "tensorflow"
    assert run(f"import sys, converters; converters.read(sys.argv[1]); import pyfive; print({once})") == "tensorflow"


def test_the_parsers_are_of_the_version_that_is_installed() -> None:
    code = (
        "from converters.readers.hdf5 import parsers; import pyfive.dataobjects, pyfive.btree\n"
        "for name, theirs in (('DataObjects', pyfive.dataobjects), ('BTreeV1Groups', pyfive.btree)):\n"
        "    one, other = getattr(parsers, name), getattr(theirs, name)\n"
        "    assert one is not other\n"
        "    codes = [{k: v.__code__ for k, v in vars(c).items() if hasattr(v, '__code__')} for c in (one, other)]\n"
        "    assert codes[0] == codes[1] and codes[0]\n"
        "print('same')"
    )
    assert run(code) == "same"
