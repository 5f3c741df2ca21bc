#!/bin/sh
# Once: a client of the VXP API at G22's running node, for the unit G22.VXP. Its secret is kept beside the node's home.
set -eu
umask 077
access=$AGENCY_HOME/vxp.json
[ ! -s "$access" ] || exit 0
tries=0
# Exit code 1: the node does not know the unit yet, or the client is there and its secret was lost.
until agency vxp add DEMO --org G22.VXP --json > "$access.part" || agency vxp rotate DEMO --json > "$access.part"; do
  [ "$tries" -lt 60 ] || exit 1
  tries=$((tries + 1))
  sleep 1
done
mv "$access.part" "$access"
