#!/bin/sh
# Once: the axis's home, and for each unit an enrolment token and a bearer token of its node's API.
# Run again it makes only what is missing. The axis is not running yet.
set -eu
umask 077
# Started again beside a running axis there is nothing left to do.
[ -f "$AXIS_HOME/axis.toml" ] || axis init --listen 0.0.0.0:8443 --console 0.0.0.0:8080 --name axis
[ -f /enrolment/imported ] || { axis org import "$(python3 -c 'from axis import demo; print(demo.__path__[0])')/units.csv"; : > /enrolment/imported; }
for code in $UNITS; do
  [ -s "/enrolment/$code.api" ] || {
    python3 -c 'import secrets; print(secrets.token_urlsafe(32))' > "/enrolment/$code.part"
    mv "/enrolment/$code.part" "/enrolment/$code.api"
  }
  [ -s "/enrolment/$code.token" ] || {
    axis org token "$code" > "/enrolment/$code.part"
    mv "/enrolment/$code.part" "/enrolment/$code.token"
  }
done
