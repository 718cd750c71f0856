package worker

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/millrace/millrace/connect/converter/rule"
)

// What a registry says besides a schema's text reaches the converters, with one
// request.
func TestContractAndDependencies(t *testing.T) {
	requests := map[string]int{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests[r.URL.Path]++
		w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
		body := map[string]string{
			"/schemas/ids/1": `{"schemaType":"PROTOBUF","schema":"import \"a\";","references":[{"name":"a","subject":"s","version":2}],
				"metadata":{"tags":{"R.f":["PII"]}},"ruleSet":{"domainRules":[{"name":"n","kind":"CONDITION","mode":"WRITEREAD","type":"CEL",
				"expr":"true","params":{"k":"v"},"onFailure":"NONE","disabled":true}],"encodingRules":[{"name":"e","kind":"TRANSFORM","mode":"WRITE","type":"ENCRYPT_PAYLOAD"}]}}`,
			"/subjects/s/versions/2": `{"subject":"s","version":2,"id":2,"schemaType":"PROTOBUF","schema":"A","references":[{"name":"b","subject":"t","version":1},{"name":"a","subject":"s","version":2}]}`,
			"/subjects/t/versions/1": `{"subject":"t","version":1,"id":3,"schemaType":"PROTOBUF","schema":"B"}`,
		}[r.URL.Path]
		if body == "" {
			w.WriteHeader(http.StatusNotFound)
			body = `{"error_code":40403,"message":"not found"}`
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Error(err)
		}
	}))
	defer srv.Close()
	client, err := sr.NewClient(sr.URLs(srv.URL))
	if err != nil {
		t.Fatal(err)
	}
	c := &registryClient{client: client}
	for range 2 {
		got, err := c.Contract(t.Context(), 1)
		want := rule.Contract{Tags: map[string][]string{"R.f": {"PII"}}, Rules: []rule.Rule{
			{Name: "n", Kind: "CONDITION", Mode: "WRITEREAD", Type: "CEL", Expr: "true", Params: map[string]string{"k": "v"}, OnFailure: "NONE", Disabled: true},
			{Name: "e", Kind: "TRANSFORM", Mode: "WRITE", Type: "ENCRYPT_PAYLOAD", Encoding: true},
		}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("contract %+v, %v", got, err)
		}
		deps, err := c.Dependencies(t.Context(), 1)
		if err != nil || !reflect.DeepEqual(deps, map[string]string{"a": "A", "b": "B"}) {
			t.Errorf("dependencies %v, %v", deps, err)
		}
		if text, kind, err := c.ByID(t.Context(), 1); err != nil || kind != "PROTOBUF" || text == "" {
			t.Errorf("schema %q of kind %s, %v", text, kind, err)
		}
	}
	for path, n := range requests {
		if n != 1 {
			t.Errorf("%s was asked for %d times", path, n)
		}
	}
	if _, err := c.Contract(t.Context(), 9); err == nil {
		t.Error("a schema that is not there has a contract")
	}
}
