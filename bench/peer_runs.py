"""What the comparisons with other frameworks share: their Python, and commands on the same cores."""
import os, platform, subprocess, sys


def environment(folder, peers):
    """Python with the peers' packages, made on the first run (several minutes, 6 GB); this one where it has them."""
    packages = {"torch"} if {"eager", "compile"} & set(peers) else set()
    packages |= {"jax"} & set(peers)
    if subprocess.run([sys.executable, "-c", "import " + ", ".join(packages or {"sys"})], capture_output=True).returncode == 0:
        return sys.executable
    python = folder / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "numpy", *sorted(packages)], check=True)
    return python


def pinned(command, threads):
    """What a command prints that may run on so many cores alone."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("MKL_", "OPENBLAS_", "ONEDNN_"))}
    env["OMP_NUM_THREADS"] = str(threads)
    r = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=env, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    if r.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{r.stderr[-2000:]}")
    return r.stdout


def peers_of(text):
    """The peers that an option names."""
    peers = [p for p in text.split(",") if p]
    if unknown := set(peers) - {"eager", "compile", "jax"}:
        sys.exit(f"no such peer: {', '.join(sorted(unknown))}; there are eager, compile and jax")
    return peers


def processor():
    return next((l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")), platform.machine())
