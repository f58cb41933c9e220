"""What it costs to know that nothing has to run: fingerprints, verify and restore, and a no-op over many jobs.

In a throw-away copy of the repository the smallest study runs once; its block of seeds is then multiplied, records and
all, as if as many blocks had been trained. Nothing is compared with another tool: the goals are times.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLOCK, OTHER = "000-001", "002-003"  # of config/models/vae-test.yaml

FINGERPRINTS = """
import time, yaml
from pathlib import Path
from types import SimpleNamespace as Wildcards
from interneuron.workflow.plan import Plan
plan = Plan(yaml.safe_load(Path("config/paper.yaml").read_text()), Path.cwd(), ["config/paper.yaml"])
start = time.perf_counter()
for rule in sorted(path.stem for path in Path("scripts").glob("*.py")):
    settings = getattr(plan, {"figures": "figure"}.get(rule, rule), None) or plan.step(rule)
    jobs = plan.jobs(rule)
    for wildcards in jobs:
        settings(Wildcards(**wildcards))
print(time.perf_counter() - start)
"""


def run(folder, *command):
    """Seconds that a command took, and what it said."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return time.perf_counter() - start, done.stdout + done.stderr


def for_all(value, blocks):
    """`value` with every list that names the first block naming all of them."""
    if isinstance(value, dict):
        found = {}
        for key, part in value.items():
            names = [key.replace(BLOCK, block) for block in blocks] if BLOCK in key else [key]
            found |= {name: for_all(part, blocks) for name in names if OTHER not in key}
        return found
    if isinstance(value, list):
        return [
            name
            for part in value
            if not (isinstance(part, str) and OTHER in part)
            for name in (
                [part.replace(BLOCK, block) for block in blocks]
                if isinstance(part, str) and BLOCK in part
                else [for_all(part, blocks)]
            )
        ]
    return value


def multiply(folder, blocks):
    """The files and records of one block, as those of many."""
    import pandas as pd
    from snakemake.persistence.file import FilePersistence

    from interneuron.workflow.provenance import Folder
    from interneuron.workflow.records import seal

    store = FilePersistence(path=folder / ".snakemake")
    for path, record in Folder(folder).records().items():
        if OTHER in path:
            continue
        if BLOCK not in path:
            record["input"], record["input_checksums"] = (
                for_all(record[key], blocks) for key in ("input", "input_checksums")
            )
            record["input"].sort()
            record["params"] = [repr(for_all(ast.literal_eval(part), blocks)) for part in record["params"]]
            store._io_write(store._metadata_path, record, path)
            seal(folder, [path])
            continue
        for block in blocks:
            to = folder / path.replace(BLOCK, block)
            if not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(folder / path, to)
                if to.name == "metrics.parquet":  # the claims want each seed once
                    table = pd.read_parquet(to)
                    table.assign(seed=table["seed"] + int(block[:3])).to_parquet(to)
                seal(folder, [path.replace(BLOCK, block)])
            store._io_write(
                store._metadata_path, json.loads(json.dumps(record).replace(BLOCK, block)), path.replace(BLOCK, block)
            )


def main():
    """Print the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs of the no-op")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="size of the results that are verified")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top)
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
        )
        for name in filter(lambda name: (ROOT / name).is_file(), listed.stdout.splitlines()):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
        seconds = float(run(folder, sys.executable, "-c", FINGERPRINTS)[1])
        print(f"fingerprints and params of all jobs of the paper config: {seconds:.2f} s")
        test = ["snakemake", "--configfile", "config/test.yaml", "--config", "studies=[thesis-test]"]
        run(folder, *test, "--quiet", "all")
        blocks = [f"{2 * i:03d}-{2 * i + 1:03d}" for i in range(max(2, arguments.jobs // 6))]
        multiply(folder, blocks)
        model = folder / "config/models/vae-test.yaml"
        model.write_text(model.read_text().replace("seeds: 4", f"seeds: {2 * len(blocks)}"))
        run(folder, *test, "--quiet", "all")  # what depends on the number of seeds: claims and report
        seconds, said = run(folder, *test)
        assert "Nothing to be done" in said, said
        jobs = 6 * len(blocks) + 20
        print(f"no-op over about {jobs:,} jobs: {seconds:.1f} s")
        large = folder / "results/studies/thesis-test" / BLOCK / "activations.safetensors"
        large.write_bytes(b"\0" * int(arguments.gigabytes * 1e9))
        provenance = folder / "results/provenance.jsonl"
        from interneuron.io import sha256
        from interneuron.workflow.records import read

        kept = read(folder)
        kept.results[str(large.relative_to(folder))]["sha256"] = sha256(large)
        provenance.write_text(kept.text())
        print(f"verify {arguments.gigabytes:g} GB: {run(folder, 'interneuron', 'verify')[0]:.1f} s")
        shutil.rmtree(folder / ".snakemake")
        print(f"restore {arguments.gigabytes:g} GB: {run(folder, 'interneuron', 'restore')[0]:.1f} s")


if __name__ == "__main__":
    main()
