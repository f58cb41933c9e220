"""Where a perceptron is affine: its regions, their maps, and what is left of them when they are merged."""


rule regions:
    """Regions of every seed, their affine maps, how the features weigh in them, and the path of their merging."""
    input:
        weights=PLAN.weights,
        data=PLAN.data,
    output:
        regions="results/studies/{study}/{block}/regions.parquet",
        maps="results/studies/{study}/{block}/maps.safetensors",
        merging="results/studies/{study}/{block}/merging.parquet",
    log:
        "logs/regions/{study}/{block}.log",
    benchmark:
        "logs/regions/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(3300),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.step("regions"),
    script:
        "../scripts/regions.py"
