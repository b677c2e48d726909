package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// nginxConfig is an nginx of its own, which proxies mail and serves nothing else. As many workers as there are cores here.
const nginxConfig = `
load_module modules/ngx_mail_module.so;
daemon off;
user nobody nogroup;
pid %[1]s/pid;
error_log %[1]s/log warn;
worker_processes 2;
worker_rlimit_nofile %[2]d;
events {
  worker_connections 12000;
}
mail {
  auth_http %[3]s/auth;
  imap_auth plain login;
  proxy_pass_error_message on;
  ssl_certificate %[4]s;
  ssl_certificate_key %[5]s;
  server {
    listen 127.0.0.1:%[6]d backlog=4096;
    protocol imap;
  }
  server {
    listen 127.0.0.1:%[7]d ssl backlog=4096;
    protocol imap;
  }
}
`

func (b *bench) startNginx(judge *authHTTP) (*server, error) {
	dir := filepath.Join(b.dir, "nginx")
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	files, err := raiseFiles()
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	config, log := filepath.Join(dir, "nginx.conf"), filepath.Join(dir, "log")
	text := fmt.Sprintf(nginxConfig, dir, files, judge.address, b.cert.cert, b.cert.key, ports[0], ports[1])
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	s := &server{
		name: "nginx", plain: fmt.Sprintf("127.0.0.1:%d", ports[0]), tls: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		user: person, password: password, log: log, silent: true,
	}
	if err := b.start(s, "nginx", "-e", log, "-c", config); err != nil {
		return nil, err
	}
	return s, b.ready(s)
}

// authHTTP answers nginx's question who may log in and where their mail is. What that costs is not nginx's processor time, and
// stands in no figure.
type authHTTP struct {
	address string
	server  *http.Server
	ended   chan error
}

func startAuthHTTP(store *server) (*authHTTP, error) {
	host, port, err := net.SplitHostPort(store.plain)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	answer := func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if r.Header.Get("Auth-User") != person || r.Header.Get("Auth-Pass") != password {
			h.Set("Auth-Status", "Invalid login or password")
			return
		}
		h.Set("Auth-Status", "OK")
		h.Set("Auth-Server", host)
		h.Set("Auth-Port", port)
		h.Set("Auth-User", person+"*"+masterUser)
		h.Set("Auth-Pass", masterPassword)
	}
	a := &authHTTP{
		address: l.Addr().String(), ended: make(chan error, 1),
		server: &http.Server{Handler: http.HandlerFunc(answer), ReadTimeout: 10 * time.Second},
	}
	go func() { a.ended <- a.server.Serve(l) }()
	return a, nil
}

func (a *authHTTP) stop() error {
	err := a.server.Close()
	if served := <-a.ended; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
