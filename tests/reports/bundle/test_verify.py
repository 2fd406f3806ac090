"""Tampering: whatever is done to a bundle is seen, and named; what was not touched is green."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import RecordError
from harness.storage.run_folder import write_json
from reports.bundle.manifest import HASH_PLACE, MANIFEST_NAME, PAGE_NAME, hash_of, seal
from reports.bundle.manifest import read_manifest as manifest_of
from reports.bundle.verify import Verification, verify_bundle
from reports.bundle.write import Bundle, BundleRequest, write_bundle
from tests.reports.bundle.conftest import PROGRAM
from tests.reports.release.made import KEY, change_json

RECORD = "runs/now-1/record.json"


def checked(folder: Path, signed_hash: str = "") -> Verification:
    """What a check of *folder* finds."""
    return verify_bundle(folder, signed_hash=signed_hash, program=PROGRAM)


def resealed(folder: Path) -> str:
    """Seal *folder* anew, as somebody would who knows how; the new hash."""
    page = folder / PAGE_NAME
    _, old = manifest_of(folder)
    page.write_bytes(page.read_bytes().replace(old.encode(), HASH_PLACE.encode()))
    (folder / MANIFEST_NAME).unlink()
    return seal(folder)


def test_what_nobody_touched_is_what_was_signed(bundle: Bundle) -> None:
    """No fault, the same hash, the same verdict."""
    found = checked(bundle.folder, bundle.sha256)

    assert found.faults == ()
    assert found.sha256 == bundle.sha256
    assert found.judged is not None
    assert found.judged.sign_off == bundle.sign_off


FILES = (
    RECORD,
    "runs/now-0/passes/cpu/record.json",
    "runs/now-1/report.html",
    "runs/now-1/verdict.json",
    "policy.toml",
    "inputs.json",
    "signoff.json",
    PAGE_NAME,
)


@pytest.mark.parametrize("place", FILES)
@pytest.mark.parametrize("offset_share", [0.0, 0.5, 1.0])
def test_a_changed_byte_is_found(copy: Path, place: str, offset_share: float) -> None:
    """The first, one in the middle, and the last; the file is named."""
    path = copy / place
    content = bytearray(path.read_bytes())
    content[round((len(content) - 1) * offset_share)] ^= 1
    path.write_bytes(bytes(content))

    assert checked(copy).faults[0] == f"{place} was changed"


@pytest.mark.parametrize("offset_share", [0.0, 0.3, 0.5, 0.7, 1.0])
def test_a_changed_byte_of_the_manifest_is_found(copy: Path, offset_share: float) -> None:
    """It can be read no more, or no longer agrees with the files."""
    path = copy / MANIFEST_NAME
    content = bytearray(path.read_bytes())
    content[round((len(content) - 1) * offset_share)] ^= 1
    path.write_bytes(bytes(content))
    try:
        faults = checked(copy).faults
    except RecordError as error:
        faults = (str(error),)

    assert faults != ()


@pytest.mark.parametrize("place", FILES)
def test_a_missing_file_is_found(copy: Path, place: str) -> None:
    """And named."""
    (copy / place).unlink()

    assert checked(copy).faults[0] == f"{place} is missing"


def test_a_missing_manifest_is_no_bundle(copy: Path) -> None:
    """Without it nothing can be said."""
    (copy / MANIFEST_NAME).unlink()

    with pytest.raises(RecordError, match="is it a bundle"):
        checked(copy)


def test_anything_added_is_found(copy: Path, tmp_path: Path) -> None:
    """A file, an empty folder, a link, a name that could forge a line."""
    (copy / "runs/now-1/note.txt").write_text("hello", encoding="utf-8")
    assert checked(copy).faults == ("runs/now-1/note.txt was added",)

    (copy / "runs/now-1/note.txt").unlink()
    (copy / "empty").mkdir()
    assert checked(copy).faults == ("'empty' is no plain file",)

    (copy / "empty").rmdir()
    (copy / "link").symlink_to(tmp_path)
    assert checked(copy).faults == ("'link' is no plain file",)

    (copy / "link").unlink()
    (copy / "a\nb").write_text("", encoding="utf-8")
    assert "no plain file" in checked(copy).faults[0]


def test_a_linked_copy_of_a_file_is_no_plain_file(copy: Path, bundle: Bundle) -> None:
    """What it points to may change without anybody touching the bundle."""
    (copy / RECORD).unlink()
    (copy / RECORD).symlink_to(bundle.folder / RECORD)

    assert f"'{RECORD}' is no plain file" in checked(copy).faults


def test_swapped_records_are_found(copy: Path) -> None:
    """Both of them."""
    a, b = copy / "runs/now-0/record.json", copy / "runs/now-1/record.json"
    first, second = a.read_bytes(), b.read_bytes()
    a.write_bytes(second)
    b.write_bytes(first)

    assert checked(copy).faults == (
        "runs/now-0/record.json was changed",
        "runs/now-1/record.json was changed",
    )


def loosen(copy: Path) -> None:
    """Demand less than was signed."""
    path = copy / "policy.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("count = 2", "count = 3"))


def whitewash(copy: Path) -> None:
    """Take one reason out of the verdict."""
    change_json(copy / "signoff.json", "word", value="GO, really")


def forge(copy: Path) -> None:
    """A record that says something else."""
    change_json(copy / RECORD, "seed", value=43)


def contradict(copy: Path) -> None:
    """A status that the record's own figures don't bear out."""
    change_json(copy / RECORD, "performance", "objectives", 0, "status", value="FAILED")


def repaint(copy: Path) -> None:
    """Another page for the same files."""
    page = copy / PAGE_NAME
    page.write_bytes(page.read_bytes().replace(b"Signed", b"Granted"))


def postdate(copy: Path) -> None:
    """Judged on another day, on which a waiver still held."""
    change_json(
        copy / "inputs.json", "circumstances", "judged_at", value="2026-11-25T13:00:00+00:00"
    )


def plant(copy: Path) -> None:
    """A file in a run that nobody looked at."""
    (copy / "runs/now-1/extra.json").write_text("{}", encoding="utf-8")


def answer(copy: Path) -> None:
    """A comparison that no demand asks for."""
    (copy / "comparisons").mkdir()
    (copy / "comparisons/other.json").write_text("{}", encoding="utf-8")


def flatter(copy: Path) -> None:
    """Another verdict beside a record, for who reads only that."""
    change_json(copy / "runs/now-1/verdict.json", "performance", value="IMPROVED")


def escape(copy: Path) -> None:
    """Inputs that point out of the bundle."""
    change_json(copy / "inputs.json", "runs", 0, value="../../somewhere")


RESEALED: dict[str, tuple[Callable[[Path], None], str]] = {
    "loosen": (loosen, "signoff.json does not follow from the runs"),
    "whitewash": (whitewash, "signoff.json does not follow from the runs: word says GO, really"),
    "forge": (forge, f"{RECORD} is not the file that was looked at"),
    "contradict": (contradict, "the record contradicts itself: performance says"),
    "repaint": (repaint, "signoff.html is not the page"),
    "postdate": (postdate, "signoff.json does not follow from the runs: judged_at"),
    "plant": (plant, "runs/now-1/extra.json was not looked at"),
    "answer": (answer, "comparisons/other.json: no demand asks for it"),
    "flatter": (flatter, "verdict.json is not the file that was looked at"),
    "escape": (escape, "is no name of a run folder"),
}


@pytest.mark.parametrize("what", RESEALED)
def test_sealing_anew_does_not_hide_it(copy: Path, bundle: Bundle, what: str) -> None:
    """The hash is another than the signed one, and what was forged doesn't follow from the rest."""
    harm, said = RESEALED[what]
    harm(copy)
    new = resealed(copy)

    assert new != bundle.sha256
    assert checked(copy, bundle.sha256).faults[0].startswith(f"{bundle.sha256} was signed")
    assert said in checked(copy).faults[0]


def test_another_program_can_make_the_hash(bundle: Bundle) -> None:
    """With find, sort, sed and sha256sum alone."""
    script = (
        "find . -type f ! -path ./manifest.json | sed 's|^[.]/||' | LC_ALL=C sort |"
        ' while read -r f; do if [ "$f" = signoff.html ];'
        ' then printf "%s  %s\\n" "$(sed "s/$1/$2/g" "$f" | sha256sum | cut -d" " -f1)" "$f";'
        ' else sha256sum "$f"; fi; done | sha256sum | cut -d" " -f1'
    )
    made = subprocess.run(
        ["bash", "-c", script, "bash", bundle.sha256, HASH_PLACE],
        cwd=bundle.folder,
        capture_output=True,
        text=True,
        check=True,
    )

    assert made.stdout.strip() == bundle.sha256


def test_the_same_inputs_make_the_same_bundle(
    small_request: BundleRequest, bundle: Bundle, tmp_path: Path
) -> None:
    """Byte for byte, so the same hash; in which order a file system tells names is no matter."""
    again = write_bundle(small_request, tmp_path / "again", is_forced=False)
    digests, _ = manifest_of(bundle.folder)

    assert again.sha256 == bundle.sha256
    assert hash_of(dict(reversed(digests.items()))) == bundle.sha256


def test_a_bundle_of_another_program_says_so(bundle: Bundle, copy: Path) -> None:
    """What it judges otherwise may be the program's doing, and that is told."""
    whitewash(copy)
    resealed(copy)
    found = verify_bundle(copy, signed_hash="", program={"name": "acctbench", "version": "9"})

    assert "(made by acctbench 0.1.0, checked by acctbench 9)" in found.faults[0]


def test_another_version_may_word_it_otherwise(bundle: Bundle, copy: Path) -> None:
    """Sentences may differ then, the verdict's word, statuses and numbers may not."""
    other = {"name": "acctbench", "version": "9"}
    change_json(copy / "signoff.json", "findings", 0, "sentence", value="Put in other words.")
    resealed(copy)
    assert verify_bundle(copy, signed_hash="", program=other).faults == ()
    assert checked(copy).faults != ()

    page = copy / PAGE_NAME
    page.write_bytes(page.read_bytes().replace(bundle.sign_off.word.encode(), b"MAYBE"))
    resealed(copy)
    (fault,) = verify_bundle(copy, signed_hash="", program=other).faults
    assert fault.startswith(f"{PAGE_NAME} is not the page")


def test_a_bundle_from_before_objectives_were_kept_can_be_checked(copy: Path) -> None:
    """Its runs are held to what their records say, as they were then."""
    path = copy / "inputs.json"
    inputs = json.loads(path.read_text(encoding="utf-8"))
    inputs["schema_version"] = 1
    del inputs["circumstances"]["expected"][KEY]["objectives"]
    write_json(path, inputs)
    resealed(copy)

    assert checked(copy).faults == ()


def test_bulk_stays_behind_and_is_bound(bundle: Bundle) -> None:
    """Logs and tables that nothing is judged by aren't copied; inputs.json has digests of all."""
    inputs = json.loads((bundle.folder / "inputs.json").read_text(encoding="utf-8"))
    files = inputs["files"]["runs/now-1"]

    for name in ("target.log", "operations.parquet"):
        assert not files[name]["is_copied"]
        assert len(files[name]["sha256"]) == 64
        assert not (bundle.folder / "runs/now-1" / name).exists()


def test_a_comparison_is_made_again(compared_bundle: Bundle, tmp_path: Path) -> None:
    """Its tables are in the bundle, and another result of it does not follow from them."""
    folder = Path(shutil.copytree(compared_bundle.folder, tmp_path / "release-1.4"))
    names = {finding.name for finding in compared_bundle.sign_off.findings}
    assert {name for name in names if "against" in name} == {
        f"{KEY}:against before: all.response_ns.p50"
    }
    assert (folder / "runs/now-1/operations.parquet").exists()
    assert (folder / "baselines/before/before-1/operations.parquet").exists()

    change_json(folder / f"comparisons/{KEY}.json", "status", value="a better one")
    place = folder / "baselines/before/before-1/samples.parquet"
    assert checked(folder).faults == (f"comparisons/{KEY}.json was changed",)
    resealed(folder)
    assert (
        f"comparisons/{KEY}.json does not follow from the runs: status" in checked(folder).faults[0]
    )
    place.unlink()
    assert checked(folder).faults == ("baselines/before/before-1/samples.parquet is missing",)


def test_the_page_bears_hash_verdict_and_room_to_sign(bundle: Bundle) -> None:
    """The hash is in the foot that every sheet repeats, and no request can leave the page."""
    text = bundle.page.read_text(encoding="utf-8")

    assert text.count(bundle.sha256) >= 3
    assert HASH_PLACE not in text
    assert bundle.sign_off.word in text
    for column in ("name", "role", "date", "signature"):
        assert f'<th scope="col">{column}</th>' in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text
