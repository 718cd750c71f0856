package registryapi

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestConversations plays the scripts in testdata: each line is a method, a
// path and a body, and what follows it, status and body, is the answer. Lines
// that begin with # and empty ones are kept.
func TestConversations(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			srv := startServer(t)
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := string(raw)
			got := play(t, srv.URL, want)
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("the conversation went another way:\n%s", firstDifference(got, want))
			}
		})
	}
}

func play(t *testing.T, url, script string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' {
			fmt.Fprintln(&out, line)
			continue
		}
		method, rest, _ := strings.Cut(line, " ")
		switch method {
		case "GET", "POST", "PUT", "DELETE", "PATCH":
		default:
			continue // an answer
		}
		path, body, _ := strings.Cut(rest, " ")
		status, answer := call(t, method, url+path, body)
		fmt.Fprintf(&out, "%s\n%d %s\n", line, status, strings.ReplaceAll(answer, "\n", `\n`))
	}
	return out.String()
}

var timestamp = regexp.MustCompile(`"ts":\d+`)

func call(t testing.TB, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaV1)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Content-Type"); got != mediaV1 && resp.StatusCode != http.StatusNoContent {
		t.Errorf("%s %s: content type %q", method, url, got)
	}
	return resp.StatusCode, timestamp.ReplaceAllString(strings.TrimSuffix(string(raw), "\n"), `"ts":0`)
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got: %s\nwant: %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}
