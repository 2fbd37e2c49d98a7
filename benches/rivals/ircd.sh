#!/bin/sh
# The IRC servers that people run: ngircd and inspircd as Debian packages them, without penalties and
# with limits out of the way. Usage: ircd.sh ngircd|inspircd PORT [tls], from the top folder.
# Everything it writes is below target/rivals.
set -eu
server=$1 port=$2 tls=${3-}
folder=$PWD/target/rivals/$server-$port
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"
PATH=$PATH:/usr/sbin
ulimit -n "$(ulimit -Hn)"

if [ -n "$tls" ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -keyout key.pem -out cert.pem 2>/dev/null
fi

case $server in
ngircd)
    plain=$port
    # A server must have a plain port; nobody calls there.
    [ -z "$tls" ] || plain=$((port ^ 1))
    cat >ngircd.conf <<END
[Global]
Name = irc.example.net
Info = A server to compare with
Listen = 127.0.0.1
Ports = $plain
MotdPhrase = hello
ServerUID = $(id -u)
ServerGID = $(id -g)
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 0
MaxNickLength = 16
MaxPenaltyTime = 0
MaxListSize = 0
PingTimeout = 300
[Options]
DNS = no
Ident = no
PAM = no
END
    [ -z "$tls" ] || cat >>ngircd.conf <<END
[SSL]
CertFile = $folder/cert.pem
KeyFile = $folder/key.pem
Ports = $port
END
    exec ngircd -n -f "$folder/ngircd.conf" >ngircd.log 2>&1
    ;;
inspircd)
    ssl= module=
    [ -z "$tls" ] || {
        module='<module name="ssl_gnutls">
<sslprofile name="own" provider="gnutls" certfile="cert.pem" keyfile="key.pem" hash="sha256" priority="NORMAL">'
        ssl='sslprofile="own"'
    }
    cat >inspircd.conf <<END
<config format="xml">
<server name="irc.example.net" description="A server to compare with" network="Lab">
<admin name="nobody" nick="nobody" email="nobody@example.net">
$module
<bind address="127.0.0.1" port="$port" type="clients" $ssl>
<connect name="all" allow="*" timeout="60" pingfreq="300" localmax="100000" globalmax="100000"
    maxconnwarn="no" resolvehostnames="no" useident="no" fakelag="no" commandrate="1000000000"
    threshold="1000000000" softsendq="16777216" hardsendq="268435456" recvq="1048576"
    maxchans="100" limit="100000" nouserdns="yes">
<class name="none">
<limits maxnick="30" maxchan="64" maxmodes="20" maxident="12" maxquit="255" maxtopic="307"
    maxkick="255" maxgecos="128" maxaway="200" maxline="512">
<performance netbuffersize="10240" somaxconn="4096" softlimit="100000" clonesonconnect="no"
    quietbursts="yes" nouserdns="yes">
<options prefixquit="Quit: " defaultmodes="not" cyclehosts="no" announceinvites="none"
    syntaxhints="no" nosnoticestack="no" splitwhois="no">
<path configdir="$folder" datadir="$folder" logdir="$folder" runtimedir="$folder">
<pid file="$folder/inspircd.pid">
<log method="file" type="*" level="default" target="$folder/inspircd.log">
END
    exec inspircd --config "$folder/inspircd.conf" --nofork --nopid --runasroot >inspircd.out 2>&1
    ;;
*)
    echo "usage: ircd.sh ngircd|inspircd PORT [tls]" >&2
    exit 2
    ;;
esac
