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


rule choose:
    """Prototypes and criticisms, by every reading of influence and by what it is compared with."""
    input:
        data=PLAN.data,
        features=PLAN.features,
        graph="results/studies/{study}/{block}/graph.npz",
        influence="results/studies/{study}/{block}/influence.parquet",
    output:
        "results/studies/{study}/{block}/chosen.parquet",
    log:
        "logs/choose/{study}/{block}.log",
    benchmark:
        "logs/choose/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2000),
        runtime=PLAN.runtime(30),
    params:
        settings=PLAN.step("choose"),
    script:
        "../scripts/choose.py"


rule audit:
    """Wrong labels looked for in the order of influence and of what it is compared with: the suspects, and how many are wrong."""
    input:
        data=PLAN.data,
        features=PLAN.features,
        graph="results/studies/{study}/{block}/graph.npz",
        influence="results/studies/{study}/{block}/influence.parquet",
    output:
        audited="results/studies/{study}/{block}/audited.parquet",
        suspects="results/studies/{study}/{block}/suspects.tsv",
    log:
        "logs/audit/{study}/{block}.log",
    benchmark:
        "logs/audit/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(2500),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.step("audit"),
    script:
        "../scripts/audit.py"


rule embed:
    """A graph autoencoder a seed: a latent vector for every node."""
    input:
        data=PLAN.data,
    output:
        "results/studies/{study}/{block}/embedding.safetensors",
    log:
        "logs/embed/{study}/{block}.log",
    benchmark:
        "logs/embed/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(60),
    params:
        settings=PLAN.step("embed"),
    script:
        "../scripts/embed.py"


rule active:
    """Label nodes chosen in several ways, and train a graph network on each choice, all of a seed side by side."""
    input:
        data=PLAN.data,
        embedding="results/studies/{study}/{block}/embedding.safetensors",
    output:
        "results/studies/{study}/{block}/active.parquet",
    log:
        "logs/active/{study}/{block}.log",
    benchmark:
        "logs/active/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(120),
    params:
        settings=PLAN.step("active"),
    script:
        "../scripts/active.py"
