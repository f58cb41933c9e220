"""The ledger: every study's claims judged on its metrics, one row a claim."""

from interneuron.workflow.script import log, step


def main(job):
    import pandas as pd

    from interneuron import claims, io

    rows = []
    for study, entry in job.params.settings["studies"].items():
        if not entry["claims"]:
            continue
        metrics = pd.concat([io.load_table(path) for path in entry["metrics"]], ignore_index=True)
        for claim in entry["claims"]:
            row = claims.row(study, claim, metrics, entry["code"])
            rows.append(row)
            log.info(f"{study}: {row['claim']}: {row['verdict']}")
    ledger = claims.table(rows)
    for (study, group), part in ledger[ledger["group"] != ""].groupby(["study", "group"], sort=False):
        log.info(f"{study}: {group} as a whole: {claims.group_verdict(part['verdict'])}")
    io.save_table(job.output[0], ledger)


if __name__ == "__main__":
    step(main, snakemake)
