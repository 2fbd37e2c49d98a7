#!/bin/sh
# What people put in front of a server that has no TLS: nginx's stream module, or stunnel, and behind
# it an echo server on the poll engine. Usage: tls_proxy.sh nginx|stunnel PORT, from the top folder,
# with socklab on the path. Everything it writes is below target/rivals.
set -eu
proxy=$1 port=$2
folder=$PWD/target/rivals/$proxy-$port
rm -rf "$folder"
mkdir -p "$folder"
cd "$folder"

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout key.pem -out cert.pem 2>/dev/null
cat key.pem cert.pem >both.pem
socklab server --host 127.0.0.1 --port 0 -q >ready &
until [ -s ready ]; do sleep 0.02; done
backend=$(sed 's/listening on //' ready)

case $proxy in
nginx)
    cat >nginx.conf <<END
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
error_log stderr;
pid nginx.pid;
worker_rlimit_nofile 20000;
events { worker_connections 19000; }
stream {
    server {
        listen 127.0.0.1:$port ssl backlog=4096;
        proxy_pass $backend;
        tcp_nodelay on;
        ssl_certificate cert.pem;
        ssl_certificate_key key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        # A server without the master process hands out tickets only with a key in a file.
        ssl_session_ticket_key ticket.key;
    }
}
END
    openssl rand 80 >ticket.key
    exec nginx -p "$folder" -c "$folder/nginx.conf" -e stderr
    ;;
stunnel)
    cat >stunnel.conf <<END
foreground = yes
debug = err
pid =
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[echo]
accept = 127.0.0.1:$port
connect = $backend
cert = both.pem
END
    exec stunnel stunnel.conf
    ;;
esac
