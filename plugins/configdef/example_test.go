package configdef_test

import (
	"fmt"

	"github.com/millrace/millrace/plugins/configdef"
)

// A connector's keys, with rules that make up its validation, and a recommender
// that offers values.
func Example() {
	def := configdef.Def{
		{Name: "mode", Type: configdef.String, Default: "table", Rules: []configdef.Rule{configdef.OneOf("table", "query")}, Doc: "What to read.",
			Recommend: func(configdef.Config) ([]string, bool) { return []string{"table", "query"}, true }},
		{Name: "batch.size", Type: configdef.Int, Default: 500, Rules: []configdef.Rule{configdef.AtLeast(1)}, Doc: "Rows of one poll."},
		{Name: "password", Type: configdef.Password, Required: true, Doc: "Of the database."},
	}
	cfg, problems := def.Parse(map[string]string{"batch.size": "0", "password": "hunter2"})
	fmt.Println(cfg.String("mode"), len(problems))
	for _, p := range problems {
		fmt.Println(p.Text)
	}
	for _, info := range def.Validate(map[string]string{"password": "hunter2"}) {
		fmt.Println(info.Value.Name, *info.Value.Value, info.Value.RecommendedValues)
	}
	// Output:
	// table 1
	// Invalid value 0 for configuration batch.size: Value must be at least 1
	// mode table [table query]
	// batch.size 500 []
	// password [hidden] []
}
