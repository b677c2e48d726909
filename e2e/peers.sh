#!/bin/sh
# The Debian packages that tests drive, and with the argument bench those that benchmarks drive besides. Installs what is missing when
# run as root where apt is, else names it.
set -eu
missing=""
need() { # command package
	command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
need gcc gcc
need mbsync isync
need curl curl
need python3 python3
need neomutt neomutt
need dovecot dovecot-imapd
if [ "${1-}" = bench ]; then
	need nginx nginx-light
	[ -e /usr/lib/nginx/modules/ngx_mail_module.so ] || missing="$missing libnginx-mod-mail"
fi
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
	echo "installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # a list of packages
	apt-get install -y -q --no-install-recommends $missing >/dev/null 2>&1 || {
		apt-get update -q >/dev/null
		apt-get install -y -q --no-install-recommends $missing >/dev/null
	}
	exit 0
fi
echo "missing:$missing (install these packages, or run as root on Debian)" >&2
exit 1
