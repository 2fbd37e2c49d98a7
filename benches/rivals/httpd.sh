#!/bin/sh
# The HTTP servers that people serve files with, on one worker where they have workers, without logs
# and without limits in the way. Usage: httpd.sh nginx|nginx-nopush|python|miniserve|dufs PORT ROOT
# [tls], from the top folder. Everything it writes is below target/rivals.
#
# miniserve and dufs: `cargo install --root target/rivals miniserve dufs`.
set -eu
server=$1 port=$2 root=$(realpath "$3") tls=${4-}
top=$PWD
folder=$top/target/rivals/$server-$port
rm -rf "$folder"
mkdir -p "$folder"
PATH=$top/target/rivals/bin:$PATH:/usr/sbin
ulimit -n "$(ulimit -Hn)"

if [ -n "$tls" ]; then
    cd "$folder"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
        -keyout key.pem -out cert.pem 2>/dev/null
    cd "$top"
fi

case $server in
nginx | nginx-nopush)
    # With it head and file leave in one packet, which costs less and sometimes waits longer.
    nopush=off
    [ "$server" = nginx ] || nopush=on
    user=
    [ "$(id -u)" != 0 ] || user='user root;'
    ssl= certificate=
    [ -z "$tls" ] || {
        ssl=ssl
        certificate="ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate $folder/cert.pem; ssl_certificate_key $folder/key.pem;"
    }
    cat >"$folder/nginx.conf" <<END
$user
daemon off;
worker_processes 1;
worker_rlimit_nofile $(ulimit -n);
pid $folder/nginx.pid;
error_log $folder/error.log;
events { worker_connections 20000; }
http {
    access_log off;
    sendfile on;
    tcp_nopush $nopush;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    default_type application/octet-stream;
    server {
        listen 127.0.0.1:$port $ssl backlog=4096;
        root $root;
        $certificate
    }
}
END
    exec nginx -p "$folder" -e "$folder/error.log" -c "$folder/nginx.conf"
    ;;
python)
    # It logs each request, and that would be measured, too.
    exec python3 -m http.server "$port" --bind 127.0.0.1 --protocol HTTP/1.1 --directory "$root" \
        >/dev/null 2>&1
    ;;
miniserve)
    certificate=
    [ -z "$tls" ] || certificate="--tls-cert $folder/cert.pem --tls-key $folder/key.pem"
    # shellcheck disable=SC2086 # Its words are options.
    exec miniserve --interfaces 127.0.0.1 --port "$port" $certificate "$root" >/dev/null
    ;;
dufs)
    certificate=
    [ -z "$tls" ] || certificate="--tls-cert $folder/cert.pem --tls-key $folder/key.pem"
    # shellcheck disable=SC2086
    exec dufs --bind 127.0.0.1 --port "$port" --log-format '' $certificate "$root" >/dev/null
    ;;
*)
    echo "usage: httpd.sh nginx|nginx-nopush|python|miniserve|dufs PORT ROOT [tls]" >&2
    exit 2
    ;;
esac
