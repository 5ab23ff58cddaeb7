// Firehose prints the events of the firehose, each once, whatever happens to the connection.
//
//	go run ./firehose ws://127.0.0.1:8787 [SINCE]
//
// SINCE is a time to begin at, such as 2026-11-27T12:00:00Z; without it the stream begins now.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/coder/websocket"
	"github.com/fxamacker/cbor/v2"
)

const (
	maxFrameBytes = 5_000_000
	silence       = 15 * time.Second // a connection that says nothing for so long may be dead
	pause         = time.Second
)

type header struct {
	Op   int    `cbor:"op"`
	Kind string `cbor:"t"`
}

// body has what is printed here; a commit names its account repo, the other kinds did.
type body struct {
	Seq  int64  `cbor:"seq"`
	Repo string `cbor:"repo"`
	DID  string `cbor:"did"`
	Ops  []struct {
		Action string `cbor:"action"`
		Path   string `cbor:"path"`
	} `cbor:"ops"`
}

type reader struct {
	url    string
	cursor int64
	last   int64 // store it with what you make of the events, and begin there after a restart
}

func main() {
	r := reader{url: os.Args[1] + "/xrpc/com.atproto.sync.subscribeRepos"}
	if len(os.Args) > 2 {
		since, err := time.Parse(time.RFC3339, os.Args[2])
		if err != nil {
			log.Fatal(err)
		}
		r.cursor = since.UnixMicro() // a cursor of EdgeRelay is a time, in microseconds
	}
	for {
		log.Print(r.read())
		time.Sleep(pause)
	}
}

// read prints events until the connection ends, and returns why it ended.
func (r *reader) read() error {
	url := r.url
	if r.cursor > 0 {
		url += fmt.Sprintf("?cursor=%d", r.cursor)
	}
	conn, _, err := websocket.Dial(context.Background(), url, nil)
	if err != nil {
		return err
	}
	defer conn.CloseNow()
	conn.SetReadLimit(maxFrameBytes)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), silence)
		_, frame, err := conn.Read(ctx)
		cancel()
		if err != nil {
			return err
		}
		if err := r.receive(frame); err != nil {
			return err
		}
	}
}

func (r *reader) receive(frame []byte) error {
	var h header
	rest, err := cbor.UnmarshalFirst(frame, &h)
	if err != nil {
		return err
	}
	if h.Op == -1 || h.Kind == "#info" {
		text, _ := cbor.Diagnose(rest)
		log.Print(text)
		return nil
	}
	var b body
	if err := cbor.Unmarshal(rest, &b); err != nil {
		return err
	}
	if b.Seq <= r.last { // the event of the cursor itself comes again
		return nil
	}
	r.cursor, r.last = b.Seq, b.Seq
	line := []string{fmt.Sprint(b.Seq), strings.TrimPrefix(h.Kind, "#"), b.Repo + b.DID}
	for _, op := range b.Ops {
		line = append(line, op.Action, op.Path)
	}
	fmt.Println(strings.Join(line, " "))
	return nil
}
