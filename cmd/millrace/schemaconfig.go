package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func newSchemaConfig(c *schemaClient) *cobra.Command {
	var out output
	var set, unset []string
	var reset bool
	cmd := &cobra.Command{
		Use:   "config [SUBJECT]",
		Short: "Show or change what holds for a subject, or for all",
		Example: `  millrace schema config
  millrace schema config orders-value --set compatibility=FULL --set normalize=true
  millrace schema config orders-value --reset`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "/config"
			switch len(args) {
			case 0:
			case 1:
				path += "/" + url.PathEscape(args[0])
			default:
				return usagef("want at most 1 argument: SUBJECT; got %d", len(args))
			}
			if reset && len(set)+len(unset) > 0 {
				return usagef("--reset leaves nothing to set or unset")
			}
			change, err := configChange(set, unset)
			if err != nil {
				return err
			}
			var now map[string]any
			switch {
			case reset:
				if err := c.call(cmd.Context(), http.MethodDelete, path, nil, nil); err != nil {
					return err
				}
			case len(change) > 0:
				if err := c.call(cmd.Context(), http.MethodPut, path, change, nil); err != nil {
					return err
				}
			}
			if err := c.call(cmd.Context(), http.MethodGet, path+"?defaultToGlobal=true", nil, &now); err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), now, func(t *table) {
				t.row("SETTING", "VALUE")
				for _, k := range sortedKeys(now) {
					raw, err := json.Marshal(now[k])
					if err != nil { // it came as JSON
						raw = []byte("?")
					}
					t.row(k, strings.Trim(string(raw), `"`))
				}
			})
		},
	}
	out.addFlag(cmd)
	cmd.Flags().StringArrayVar(&set, "set", nil, "SETTING=VALUE, as in compatibility=FULL; may be given again")
	cmd.Flags().StringArrayVar(&unset, "unset", nil, "setting to unset; may be given again")
	cmd.Flags().BoolVar(&reset, "reset", false, "unset everything")
	return cmd
}

// configChange is the body of a change. Values that are JSON are taken as such,
// others as text.
func configChange(set, unset []string) (map[string]any, error) {
	out := map[string]any{}
	for _, text := range set {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, usagef("--set %q: must be SETTING=VALUE", text)
		}
		var plain any
		if json.Unmarshal([]byte(value), &plain) != nil {
			plain = value
		}
		if key == "compatibilityLevel" { // what the setting is called in answers
			key = "compatibility"
		}
		out[key] = plain
	}
	for _, key := range unset {
		out[key] = nil
	}
	return out, nil
}
