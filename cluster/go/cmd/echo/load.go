package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"sync"
	"syscall"
	"time"
)

// What came of a load. A request that has no answer within answerMax has failed.
type loaded struct {
	Asked    int            `json:"asked"`
	Answered int            `json:"answered"`
	P50Ms    float64        `json:"p50Ms"`
	P99Ms    float64        `json:"p99Ms"`
	WorstMs  float64        `json:"worstMs"`
	Failures map[string]int `json:"failures"`
	// Answers by the version and by the pod that gave them.
	Versions map[string]int `json:"versions"`
	Pods     map[string]int `json:"pods"`
}

var (
	versionLine = regexp.MustCompile(`(?m)^ServiceVersion=(.*)$`)
	podLine     = regexp.MustCompile(`(?m)^Hostname=(.*)$`)
)

// load is "load URL --method=M --rate=N --seconds=N [-H NAME:VALUE]...": it asks at a constant rate, whatever the answers
// take, over connections that are kept, and prints what came of it. Without --seconds it goes on until it is told to stop.
func load(args []string) error {
	rate, seconds := 50, 0
	rest := make([]string, 0, len(args))
	for _, arg := range args {
		_, isRate := scan(arg, "--rate=%d", &rate)
		_, isSeconds := scan(arg, "--seconds=%d", &seconds)
		if !isRate && !isSeconds {
			rest = append(rest, arg)
		}
	}
	order, err := parse(rest)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	var end <-chan time.Time
	if seconds > 0 {
		end = time.After(time.Duration(seconds) * time.Second)
	}
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	client := &http.Client{Timeout: answerMax, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var tally tally
	for {
		select {
		case <-tick.C:
			tally.start(client, order)
		case <-stop:
			return tally.print()
		case <-end:
			return tally.print()
		}
	}
}

func scan(arg, format string, value *int) (int, bool) {
	n, err := fmt.Sscanf(arg, format, value)
	return n, err == nil
}

type tally struct {
	waiting sync.WaitGroup
	lock    sync.Mutex
	took    []time.Duration
	result  loaded
}

func (t *tally) start(client *http.Client, o order) {
	t.lock.Lock()
	t.result.Asked++
	t.lock.Unlock()
	t.waiting.Go(func() {
		began := time.Now()
		body, failure := once(client, o)
		took := time.Since(began)
		t.lock.Lock()
		defer t.lock.Unlock()
		if failure != "" {
			fmt.Fprintf(os.Stderr, "%s %s\n", began.UTC().Format(time.RFC3339Nano), failure)
			count(&t.result.Failures, failure)
			return
		}
		t.took = append(t.took, took)
		count(&t.result.Versions, first(versionLine, body))
		count(&t.result.Pods, first(podLine, body))
	})
}

func once(client *http.Client, o order) (body, failure string) {
	request, err := http.NewRequest(o.method, o.target.String(), nil)
	if err != nil {
		return "", err.Error()
	}
	request.Header = o.headers.Clone()
	response, err := client.Do(request)
	if err != nil {
		return "", err.Error()
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return "", err.Error()
	case response.StatusCode != http.StatusOK:
		return "", fmt.Sprintf("%d %s", response.StatusCode, response.Header.Get("l5d-proxy-error"))
	}
	return string(read), ""
}

func count(counts *map[string]int, name string) {
	if *counts == nil {
		*counts = map[string]int{}
	}
	(*counts)[name]++
}

func first(pattern *regexp.Regexp, body string) string {
	if found := pattern.FindStringSubmatch(body); found != nil {
		return found[1]
	}
	return ""
}

func (t *tally) print() error {
	t.waiting.Wait()
	slices.Sort(t.took)
	t.result.Answered = len(t.took)
	at := func(share float64) float64 {
		if len(t.took) == 0 {
			return 0
		}
		return float64(t.took[int(share*float64(len(t.took)-1))].Microseconds()) / 1000
	}
	t.result.P50Ms, t.result.P99Ms, t.result.WorstMs = at(0.5), at(0.99), at(1)
	for _, counts := range []*map[string]int{&t.result.Failures, &t.result.Versions, &t.result.Pods} {
		if *counts == nil {
			*counts = map[string]int{}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(t.result)
}
