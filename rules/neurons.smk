"""What the neurons do: their activations, their causes, their clusters, and what is lost without them."""


rule activations:
    """Activations of every neuron under interventions on the active latents."""
    input:
        weights=PLAN.weights,
        training=PLAN.training,
    output:
        "results/studies/{study}/{block}/activations.safetensors",
    log:
        "logs/activations/{study}/{block}.log",
    benchmark:
        "logs/activations/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1500),
        runtime=PLAN.runtime(15),
    params:
        settings=PLAN.step("activations"),
    script:
        "../scripts/activations.py"


rule ace:
    """Average causal effects of every latent and class on every neuron, sampled and by Taylor expansion."""
    input:
        weights=PLAN.weights,
        data=PLAN.data,
    output:
        "results/studies/{study}/{block}/ace.safetensors",
    log:
        "logs/ace/{study}/{block}.log",
    benchmark:
        "logs/ace/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(15),
    params:
        settings=PLAN.step("ace"),
    script:
        "../scripts/ace.py"


rule cluster:
    """Clusters of neurons: Spearman similarity, affinity propagation over a sweep of preferences, the plateau's labels."""
    input:
        activations="results/studies/{study}/{block}/activations.safetensors",
        ace=PLAN.effects,
    output:
        clusters="results/studies/{study}/{block}/clusters.parquet",
        sweep="results/studies/{study}/{block}/sweep.parquet",
    log:
        "logs/cluster/{study}/{block}.log",
    benchmark:
        "logs/cluster/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(120),
    params:
        settings=PLAN.step("cluster"),
    script:
        "../scripts/cluster.py"


rule lesion:
    """Silence every cluster, the important and critical ones against random sets, and let the judge look at the images."""
    input:
        weights=PLAN.weights,
        judge=PLAN.judge,
        activations="results/studies/{study}/{block}/activations.safetensors",
        clusters="results/studies/{study}/{block}/clusters.parquet",
    output:
        lesions="results/studies/{study}/{block}/lesions.parquet",
        null="results/studies/{study}/{block}/null.parquet",
        lesioned="results/studies/{study}/{block}/lesioned.safetensors",
    log:
        "logs/lesion/{study}/{block}.log",
    benchmark:
        "logs/lesion/{study}/{block}.benchmark.jsonl"
    threads: 1
    resources:
        mem_mb=PLAN.memory(1200),
        runtime=PLAN.runtime(120),
    params:
        settings=PLAN.step("lesion"),
    script:
        "../scripts/lesion.py"
