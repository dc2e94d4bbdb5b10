package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	pb "sigs.k8s.io/gateway-api/conformance/echo-basic/grpcechoserver"
)

// The longest that one answer may take; the suite asks again.
const answerMax = 10 * time.Second

type order struct {
	target  *url.URL
	method  string
	count   int
	headers http.Header
}

type answer struct {
	status  int
	headers http.Header
	body    string
}

// ask is "client URL [--method=M] [--count=N] [-H NAME:VALUE]...": it prints each answer as a block of lines.
func ask(args []string) error {
	order, err := parse(args)
	if err != nil {
		return err
	}
	send := askHTTP
	if order.target.Scheme == "grpc" {
		send = askGRPC
	}
	var failed error
	for nth := range order.count {
		got, err := send(order)
		if err != nil {
			fmt.Fprintf(os.Stderr, "[%d] Error: %v\n", nth, err)
			failed = errors.New("an answer is missing")
			continue
		}
		fmt.Printf("[%d] Url=%s\n[%d] StatusCode=%d\n", nth, order.target, nth, got.status)
		for _, line := range headerLines("ResponseHeader", got.headers) {
			fmt.Printf("[%d] %s\n", nth, line)
		}
		for line := range strings.SplitSeq(strings.TrimSpace(got.body), "\n") {
			fmt.Printf("[%d body] %s\n", nth, line)
		}
		fmt.Println()
	}
	return failed
}

func parse(args []string) (order, error) {
	parsed := order{method: http.MethodGet, count: 1, headers: http.Header{}}
	var err error
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		name, value, _ := strings.Cut(arg, "=")
		switch {
		case name == "--method":
			parsed.method = value
		case name == "--count":
			parsed.count, err = strconv.Atoi(value)
		case arg == "-H" && len(args) > 0:
			header, content, _ := strings.Cut(args[0], ":")
			parsed.headers.Add(header, strings.TrimSpace(content))
			args = args[1:]
		case strings.HasPrefix(arg, "-"):
			err = fmt.Errorf("unknown argument %s", arg)
		default:
			parsed.target, err = url.Parse(arg)
		}
		if err != nil {
			return order{}, err
		}
	}
	if parsed.target == nil {
		return order{}, errors.New("no URL")
	}
	return parsed, nil
}

// A new connection for each request: one that is kept would hide how connections are spread.
func askHTTP(o order) (answer, error) {
	client := http.Client{
		Timeout: answerMax,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	request, err := http.NewRequest(o.method, o.target.String(), nil)
	if err != nil {
		return answer{}, err
	}
	request.Header = o.headers.Clone()
	if host := request.Header.Get("Host"); host != "" {
		request.Host = host
		request.Header.Del("Host")
	}
	response, err := client.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return answer{status: response.StatusCode, headers: response.Header, body: string(body)}, err
}

func askGRPC(o order) (answer, error) {
	conn, err := grpc.NewClient("passthrough:///"+o.target.Host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return answer{}, err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), answerMax)
	defer cancel()
	for name, values := range o.headers {
		for _, value := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
		}
	}
	var sent metadata.MD
	response, err := pb.NewGrpcEchoClient(conn).Echo(ctx, &pb.EchoRequest{}, grpc.Header(&sent))
	if err != nil {
		return answer{}, err
	}
	headers := http.Header{}
	for name, values := range sent {
		headers[http.CanonicalHeaderKey(name)] = values
	}
	// The suite reads 200 of a call that went well.
	return answer{status: http.StatusOK, headers: headers, body: response.GetAssertions().GetFullyQualifiedMethod()}, nil
}
