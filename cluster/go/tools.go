//go:build tools

package main

// The suite is a test of its package, which nothing imports: this keeps its module required.
import _ "sigs.k8s.io/gateway-api/conformance"
