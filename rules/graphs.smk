"""Samples as the nodes of graphs: their neighbours, and the influence of each under explanation functions."""


rule graph:
    """Nearest neighbours of the samples, as many as the largest k asks for."""
    input:
        data=PLAN.data,
        features=PLAN.features,
    output:
        "results/studies/{study}/{block}/graph.npz",
    log:
        "logs/graph/{study}/{block}.log",
    benchmark:
        "logs/graph/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000),
        runtime=PLAN.runtime(30),
    params:
        settings=PLAN.step("graph"),
    script:
        "../scripts/graph.py"


rule influence:
    """Explanation functions on the graphs' nodes, and their high frequencies."""
    input:
        data=PLAN.data,
        features=PLAN.features,
        graph="results/studies/{study}/{block}/graph.npz",
    output:
        "results/studies/{study}/{block}/influence.parquet",
    log:
        "logs/influence/{study}/{block}.log",
    benchmark:
        "logs/influence/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2500),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.step("influence"),
    script:
        "../scripts/influence.py"
