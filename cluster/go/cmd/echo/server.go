package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	pb "sigs.k8s.io/gateway-api/conformance/echo-basic/grpcechoserver"
)

// The validity of a certificate that nobody checks.
const certificateLife = 365 * 24 * time.Hour

// serve listens on --port=N for HTTP/1 and HTTP/2 (with TLS if --tls=N), --grpc=N and --tcp=N, until one of them fails;
// with none of them it waits to be ended.
func serve(args []string) error {
	secured := map[string]bool{}
	for _, arg := range args {
		if port, is := strings.CutPrefix(arg, "--tls="); is {
			secured[port] = true
		}
	}
	failed := make(chan error)
	listening := 0
	for _, arg := range args {
		kind, port, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
		handle := map[string]func(net.Listener, string, bool) error{
			"port": serveHTTP, "grpc": serveGRPC, "tcp": serveTCP,
		}[kind]
		if handle == nil {
			continue
		}
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		listening++
		go func() { failed <- handle(listener, port, secured[port]) }()
	}
	if listening == 0 {
		// Pods that only ask are deployed without arguments.
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
		return nil
	}
	return <-failed
}

func here(port, from string) seen {
	pod, _ := os.Hostname()
	address, _, _ := net.SplitHostPort(from)
	return seen{version: os.Getenv("VERSION"), port: port, from: address, pod: pod}
}

var asked atomic.Int64

// fails says whether a request is one of those that this version gets wrong: with FAIL_EVERY=N every Nth, but for probes.
func fails(r *http.Request) bool {
	every, err := strconv.ParseInt(os.Getenv("FAIL_EVERY"), 10, 64)
	if err != nil || every < 1 || strings.HasPrefix(r.UserAgent(), "kube-probe/") {
		return false
	}
	return asked.Add(1)%every == 0
}

func serveHTTP(listener net.Listener, port string, isSecured bool) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := here(port, r.RemoteAddr)
		s.host, s.url, s.method, s.proto, s.headers = r.Host, r.URL.RequestURI(), r.Method, r.Proto, r.Header
		w.Header().Set("content-type", "text/plain")
		if fails(r) {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, text(s.lines()))
	})}
	go drain(&server)
	if !isSecured {
		return outlast(server.Serve(listener))
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	return outlast(server.ServeTLS(listener, "", ""))
}

// drain ends a server as a well-behaved application does when it is told to stop: what was begun is finished.
func drain(server *http.Server) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	<-stop
	_ = server.Shutdown(context.Background())
	os.Exit(0)
}

// outlast waits for the drain of a server that was shut down.
func outlast(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		select {}
	}
	return err
}

type grpcEcho struct {
	pb.UnimplementedGrpcEchoServer
	port string
}

func (e grpcEcho) Echo(ctx context.Context, _ *pb.EchoRequest) (*pb.EchoResponse, error) {
	from := ""
	if caller, is := peer.FromContext(ctx); is {
		from = caller.Addr.String()
	}
	s := here(e.port, from)
	s.method, s.proto, s.headers = http.MethodPost, "GRPC", http.Header{}
	s.url, _ = grpc.Method(ctx)
	sent, _ := metadata.FromIncomingContext(ctx)
	for name, values := range sent {
		if name == ":authority" {
			s.host = values[0]
		}
		s.headers[http.CanonicalHeaderKey(name)] = values
	}
	return &pb.EchoResponse{Assertions: &pb.Assertions{FullyQualifiedMethod: text(s.lines())}}, nil
}

func serveGRPC(listener net.Listener, port string, _ bool) error {
	server := grpc.NewServer()
	pb.RegisterGrpcEchoServer(server, grpcEcho{port: port})
	return server.Serve(listener)
}

func serveTCP(listener net.Listener, port string, _ bool) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			s := here(port, conn.RemoteAddr().String())
			fmt.Fprintf(conn, "StatusCode=200\nServicePort=%s\nHostname=%s\n", s.port, s.pod)
			_, _ = io.Copy(conn, conn)
		}()
	}
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	content := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "echo"},
		NotAfter:     time.Now().Add(certificateLife),
	}
	der, err := x509.CreateCertificate(rand.Reader, content, content, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
