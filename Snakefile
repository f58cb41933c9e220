"""Interneuron: the chain from a dataset to the ledger of claims.

download -> prepare -> train -> activations -> cluster -> lesion -> evaluate -> claims -> report
                            `-> ace ----------'
What to run is in config/config.yaml (or --configfile config/paper.yaml): a list of studies, each an entry in config/studies/.
"""

from snakemake.utils import min_version

from interneuron.workflow.plan import Plan

min_version("9.27")


configfile: "config/config.yaml"


# `snakemake --lint` asks for an environment; jobs run in the one that snakemake runs in.
container: "docker://python:3.11-slim"


if "all" in map(str, workflow.output_settings.quiet or []):
    os.environ.update(INTERNEURON_QUIET="1")  # scripts inherit it
PLAN = Plan(config, Path(workflow.basedir), workflow.configfiles)
if workflow.is_main_process:  # jobs on other machines read this file too
    PLAN.begin()


wildcard_constraints:
    dataset=PLAN.one_of([*PLAN.project.datasets, *PLAN.sources("download")]),
    model=PLAN.one_of(PLAN.project.models),
    study=PLAN.one_of(PLAN.project.studies),
    block=r"[0-9]+-[0-9]+",
    figure=r"[a-z-]+\.(png|gif)",


localrules:
    all,
    claims,
    report,


rule all:
    """The ledger of claims, the report, and all that is behind them: whatever of it is missing is made again."""
    default_target: True
    input:
        lambda wildcards: PLAN.everything(workflow.rules),


include: "rules/data.smk"
include: "rules/models.smk"
include: "rules/neurons.smk"
include: "rules/regions.smk"
include: "rules/structured.smk"
include: "rules/networks.smk"
include: "rules/graphs.smk"
include: "rules/results.smk"


onstart:
    PLAN.check_settings(workflow.dag_settings)


onsuccess:
    PLAN.save()
    if Path("results/report.html").is_file():
        print(
            "Done. The ledger: results/claims.tsv (`interneuron claims` prints it). The report: results/report.html"
        )


onerror:
    PLAN.save()
    print("Stopped; what is finished is kept. To go on, run it again. Logs: logs/")
