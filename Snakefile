"""Interneuron: the chain from a dataset to the ledger of claims.

download -> prepare -> train -> activations -> cluster -> lesion -> evaluate -> claims -> report
                            `-> ace ----------'
What to run is in config/config.yaml (or --configfile config/paper.yaml): a list of studies, each an entry in config/studies/.
"""

from snakemake.utils import min_version

from interneuron.workflow.locks import clear_stale_locks
from interneuron.workflow.plan import Plan

min_version("9.27")


configfile: "config/config.yaml"


# `snakemake --lint` asks for an environment; jobs run in the one that snakemake runs in.
container: "docker://python:3.11-slim"


clear_stale_locks(Path(workflow.basedir))
if "all" in map(str, workflow.output_settings.quiet or []):
    os.environ.update(INTERNEURON_QUIET="1")  # scripts inherit it
PLAN = Plan(
    config,
    Path(workflow.basedir),
    " with ".join(map(os.path.relpath, workflow.configfiles)),
)


wildcard_constraints:
    dataset=PLAN.one_of(PLAN.project.datasets),
    model=PLAN.one_of(PLAN.project.models),
    study=PLAN.one_of(PLAN.project.studies),
    block=r"[0-9]+-[0-9]+",
    figure=r"[a-z-]+\.(png|gif)",


localrules:
    all,
    claims,
    report,


rule all:
    """The ledger of claims and the report of all studies listed in the config."""
    default_target: True
    input:
        "results/claims.tsv",
        "results/report.html",


include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/neurons.smk"
include: "rules/results.smk"


onsuccess:
    if Path("results/report.html").is_file():
        print(
            "Done. The ledger: results/claims.tsv (`interneuron claims` prints it). The report: results/report.html"
        )


onerror:
    print(
        "Stopped. What is finished is kept: the same command goes on from there. Logs of each job: logs/RULE/"
    )
