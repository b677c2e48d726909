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
[ -x /usr/lib/dovecot/imap ] || missing="$missing dovecot-imapd"
need cyrmaster cyrus-common
need saslpasswd2 sasl2-bin
need offlineimap offlineimap3
need interimap interimap
need swaks swaks
perl -MNet::SSLeay -e 1 >/dev/null 2>&1 || missing="$missing libnet-ssleay-perl"
need msmtp msmtp
need s-nail s-nail
[ -x /usr/lib/postfix/sbin/master ] || missing="$missing postfix"
need smtp-sink postfix
need slapd slapd
need ldapsearch ldap-utils
need chromium chromium
need thunderbird thunderbird
need certutil libnss3-tools
fc-list 2>/dev/null | grep -q DejaVu || missing="$missing fontconfig fonts-dejavu-core"
/usr/bin/python3 -c "import ldap3" >/dev/null 2>&1 || missing="$missing python3-ldap3"
if [ "${1-}" = bench ]; then
	need nginx nginx-light
	[ -e /usr/lib/nginx/modules/ngx_mail_module.so ] || missing="$missing libnginx-mod-mail"
fi
# Debian lets one IMAP server be installed at a time. Cyrus's own part is one program, which is unpacked beside our tools and run from there.
cyrus="$(cd "$(dirname "$0")/.." && pwd)/.tools/cyrus-imapd"
unpack=""
[ -x "$cyrus/usr/lib/cyrus/bin/imapd" ] || unpack=cyrus-imapd
[ -z "$missing$unpack" ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "missing:$missing $unpack (install these packages, or run as root on Debian)" >&2
	exit 1
fi
echo "installing:$missing $unpack"
export DEBIAN_FRONTEND=noninteractive
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Tests run servers of their own; those of the packages are not to start.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
	trap 'rm -rf "$work" $policy' EXIT
	printf '#!/bin/sh\nexit 101\n' >$policy
	chmod 755 $policy
fi
if [ -n "$missing" ]; then
	# Postfix is one of the mail servers of which Debian installs one; another that came along as a dependency gives way to it.
	others=""
	if echo "$missing" | grep -q postfix && dpkg -l exim4-base 2>/dev/null | grep -q '^ii'; then
		others="exim4-base- exim4-config- exim4-daemon-light-"
		missing="$missing $others"
	fi
	echo "postfix postfix/main_mailer_type select No configuration" | debconf-set-selections 2>/dev/null || true
	keep=--no-remove
	[ -z "$others" ] || keep=""
	# shellcheck disable=SC2086 # lists
	apt-get install -y -q --no-install-recommends $keep $missing >/dev/null 2>&1 || {
		apt-get update -q >/dev/null
		apt-get install -y -q --no-install-recommends $keep $missing >/dev/null
	}
fi
if [ -n "$unpack" ]; then
	(cd "$work" && { apt-get download -q $unpack || { apt-get update -q && apt-get download -q $unpack; }; }) >/dev/null 2>&1
	mkdir -p "$cyrus"
	dpkg-deb -x "$work"/$unpack*.deb "$cyrus"
fi
