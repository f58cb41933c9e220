"""From steps to statements: metrics a seed, pictures, the ledger of claims, the report."""


rule evaluate:
    """Everything that a claim can be about, a row a seed and thing measured."""
    input:
        unpack(PLAN.evaluated),
    output:
        "results/studies/{study}/{block}/metrics.parquet",
    log:
        "logs/evaluate/{study}/{block}.log",
    threads: 1
    resources:
        mem_mb=PLAN.memory(1000),
        runtime=PLAN.runtime(10),
    params:
        settings=PLAN.step("evaluate"),
    script:
        "../scripts/evaluate.py"


rule figures:
    """One picture of a study."""
    input:
        unpack(PLAN.figure_inputs),
    output:
        report(
            "results/studies/{study}/figures/{figure}",
            category="{study}",
            labels={"figure": "{figure}"},
        ),
    log:
        "logs/figures/{study}/{figure}.log",
    threads: 1
    resources:
        mem_mb=PLAN.memory(800),
        runtime=PLAN.runtime(10),
    params:
        settings=PLAN.figure,
    script:
        "../scripts/figures.py"


rule claims:
    """Test each study's claims on its metrics: the ledger."""
    input:
        metrics=PLAN.all_metrics,
    output:
        "results/claims.tsv",
    log:
        "logs/claims/claims.log",
    threads: 1
    resources:
        mem_mb=PLAN.memory(500),
        runtime=PLAN.runtime(5),
    params:
        settings=PLAN.claims,
    script:
        "../scripts/claims.py"


rule report:
    """One self-contained page: the ledger first, then a section a study; and the ledger's numbers for programs."""
    input:
        claims="results/claims.tsv",
        figures=PLAN.all_figures,
    output:
        page="results/report.html",
        metrics="results/claims.json",
    log:
        "logs/report/report.log",
    threads: 1
    resources:
        mem_mb=PLAN.memory(500),
        runtime=PLAN.runtime(5),
    params:
        settings=PLAN.report,
    script:
        "../scripts/report.py"
