// Command echo answers requests with what it saw of them, and asks others for it. The Gateway API's mesh conformance suite
// deploys an image "echo-advanced" that no public module carries; this program takes the same arguments and writes the
// same lines. It is the suite's client where it is called by that name, a source of constant load where it is called load, and
// a server by any other name.
package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	run := serve
	switch filepath.Base(os.Args[0]) {
	case "client":
		run = ask
	case "load":
		run = load
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// seen is one request as a server saw it, in the suite's words.
type seen struct {
	version, port, host, url, method, proto, from, pod string
	headers                                            http.Header
}

func (s seen) lines() []string {
	lines := []string{
		"ServiceVersion=" + s.version,
		"ServicePort=" + s.port,
		"Host=" + s.host,
		"URL=" + s.url,
		"Method=" + s.method,
		"Proto=" + s.proto,
		"IP=" + s.from,
		"Hostname=" + s.pod,
	}
	return append(lines, headerLines("RequestHeader", s.headers)...)
}

// headerLines words each value of each header: by name, and the values of a name as they came.
func headerLines(word string, headers http.Header) []string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, value := range headers[name] {
			lines = append(lines, fmt.Sprintf("%s=%s:%s", word, name, value))
		}
	}
	return lines
}

func text(lines []string) string {
	return strings.Join(lines, "\n") + "\n"
}
