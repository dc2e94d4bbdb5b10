package main

import (
	"errors"
	"os"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loadbalance"
	_ "github.com/coredns/coredns/plugin/ready"
)

// serveNames is "coredns COREFILE". CoreDNS's own main package would put its flags among those of the other programs.
func serveNames() int {
	if len(os.Args) != 2 {
		return ended("coredns", errors.New("it takes one argument, its Corefile"))
	}
	dnsserver.Directives = []string{"bind", "ready", "errors", "cache", "loadbalance", "kubernetes"}
	dnsserver.Quiet, caddy.Quiet = true, true
	contents, err := os.ReadFile(os.Args[1])
	if err != nil {
		return ended("coredns", err)
	}
	caddy.TrapSignals()
	server, err := caddy.Start(caddy.CaddyfileInput{Contents: contents, Filepath: os.Args[1], ServerTypeName: "dns"})
	if err != nil {
		return ended("coredns", err)
	}
	server.Wait()
	return 0
}
