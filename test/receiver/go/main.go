// Verifies the requests that come as JSON lines, and prints what came of each, with the documentation's verify beside it.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

type request struct {
	Headers map[string]string
	Body    []byte
	Secrets []string
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var one request
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			panic(err)
		}
		header := http.Header{}
		for name, value := range one.Headers {
			header.Set(name, value)
		}
		if header.Get("content-encoding") == "gzip" {
			reader, err := gzip.NewReader(bytes.NewReader(one.Body))
			if err != nil {
				panic(err)
			}
			if one.Body, err = io.ReadAll(reader); err != nil {
				panic(err)
			}
		}
		if err := verify(one.Body, header, one.Secrets, 300*time.Second); err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("ok")
		}
	}
}
