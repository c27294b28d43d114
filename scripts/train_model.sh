#!/usr/bin/env bash
# Trains one of the shipped models from its public data, as models/README.md tells:
#   bash scripts/train_model.sh NAME ZARR [FOLDER] [arguments of dpr train]
# NAME is pusht_image, pusht_state or pusht_transformer; ZARR is pusht_cchi_v7_replay.zarr, unpacked
# from https://diffusion-policy.cs.columbia.edu/data/training/pusht.zip; bags, dataset and the
# trained model go to FOLDER, trained_models by default. Run it again to go on where it stopped.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage="usage: bash scripts/train_model.sh pusht_image|pusht_state|pusht_transformer ZARR [FOLDER]"
[ $# -ge 2 ] || { echo "$usage" >&2; exit 2; }
name=$1 zarr=$2 folder=${3:-trained_models}
case $folder in
    -*) echo "$usage; FOLDER comes before the arguments of dpr train, got $folder" >&2; exit 2 ;;
esac
shift $(($# < 3 ? $# : 3))
case $name in
    pusht_image) robot=pusht mapping=pusht_zarr ;;
    pusht_state | pusht_transformer) robot=pusht_state mapping=pusht_zarr_state ;;
    *) echo "$usage, got $name" >&2; exit 2 ;;
esac
if [ ! -e "$zarr/.zgroup" ] && [ ! -e "$zarr/zarr.json" ]; then
    echo "$zarr holds no zarr group; name the unpacked folder pusht_cchi_v7_replay.zarr" >&2
    exit 2
fi
[ -x "$root/.venv/bin/dpr" ] || bash "$root/scripts/setup.sh"
export PATH="$root/.venv/bin:$PATH"

bags=$folder/$robot.bags dataset=$folder/$robot.dataset source=$folder/$robot.source
mkdir -p "$folder"
if [ -e "$source" ] && [ "$(cat "$source")" != "$(realpath "$zarr")" ]; then
    echo "$bags is made from $(cat "$source"), not from $zarr; name another FOLDER" >&2
    exit 2
fi
realpath "$zarr" > "$source"
if [ ! -e "$bags" ]; then
    rm -rf "$bags.part"
    dpr convert "$zarr" --mapping "$root/config/import/$mapping.yaml" \
        --contract "$root/config/robots/$robot.yaml" --to bags --out "$bags.part"
    mv "$bags.part" "$bags"
fi
[ -e "$dataset" ] || dpr convert "$bags" --out "$dataset"
resume=()
[ ! -e "$folder/$name.run/snapshot.json" ] || resume=(--resume)
exec dpr train "$dataset" --config "$root/config/train/$name.yaml" \
    --out "$folder/$name" "${resume[@]}" "$@"
