#!/bin/sh
# sh install-torch.sh PYTHON TORCH CONSTRAINTS: install the build of torch that suits this computer, before pip looks.
# On Linux pip alone takes the build for NVIDIA GPUs, 2.7 GB to download, where that for the CPU is 0.2. Only uv can choose.
# Where uv or that build cannot be had this says so, and pip goes on as if it had not been tried.
python=$1 build=$2 constraints=$3
case $build in
auto | cpu | cu[0-9]*) ;;
*) echo "TORCH is '$build', but must be auto, cpu, or a version of CUDA such as cu126 or cu128."; exit 1 ;;
esac
[ "$(uname -s)" = Linux ] || exit 0 # for a Mac there is one build
pin=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' "$constraints")
here=$("$python" -c 'from importlib import metadata; print(metadata.version("torch"))' 2>/dev/null)
[ "${here%%+*}" != "$pin" ] || exit 0
# uv's own auto would take gigabytes for other makers' GPUs too, which the course does not use
[ "$build" != auto ] || nvidia-smi >/dev/null 2>&1 || build=cpu
uv=$(command -v uv) || {
	"$python" -m pip install --quiet --disable-pip-version-check uv >/dev/null 2>&1
	uv=${python%/*}/uv
}
# a server that does not answer is given up on within seconds; the time-out of a download that runs stays uv's own
UV_HTTP_CONNECT_TIMEOUT=5 UV_HTTP_RETRIES=2 "$uv" pip install --quiet --python "$python" --torch-backend "$build" \
	"torch==$pin" 2>/dev/null ||
	echo "The build '$build' of torch could not be fetched, so pip takes its own: 2.7 GB, for NVIDIA GPUs with driver 580 or newer; without one it works, too."
