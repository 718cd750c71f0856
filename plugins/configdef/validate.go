package configdef

// Definition is a key's definition in the form of Connect's REST interface.
type Definition struct {
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Required      bool     `json:"required"`
	DefaultValue  *string  `json:"default_value"`
	Importance    string   `json:"importance"`
	Documentation string   `json:"documentation"`
	Group         *string  `json:"group"`
	Width         string   `json:"width"`
	DisplayName   string   `json:"display_name"`
	Dependents    []string `json:"dependents"`
	Order         int      `json:"order"`
}

// Value is the evaluation of a key in the form of Connect's REST interface.
type Value struct {
	Name              string   `json:"name"`
	Value             *string  `json:"value"`
	RecommendedValues []string `json:"recommended_values"`
	Errors            []string `json:"errors"`
	Visible           bool     `json:"visible"`
}

// Info is one entry of Connect's ConfigInfos.
type Info struct {
	Definition *Definition `json:"definition"`
	Value      *Value      `json:"value"`
}

// Validate evaluates every key, in the order of the definition. Recommenders
// see all values. A PASSWORD's value is Hidden.
func (d Def) Validate(props map[string]string) []Info {
	c, problems := d.Parse(props)
	byKey := make(map[string][]string)
	for _, p := range problems {
		byKey[p.Key] = append(byKey[p.Key], p.Text)
	}
	defs := d.Definitions()
	out := make([]Info, len(d))
	for i, k := range d {
		v := &Value{Name: k.Name, Value: k.shown(c.values[k.Name]), Visible: true,
			RecommendedValues: []string{}, Errors: append([]string{}, byKey[k.Name]...)}
		if k.Recommend != nil {
			var values []string
			values, v.Visible = k.Recommend(c)
			v.RecommendedValues = append(v.RecommendedValues, values...)
		}
		out[i] = Info{Definition: &defs[i], Value: v}
	}
	return out
}

// shown is a value as text, nil for null.
func (k Key) shown(v any) *string {
	if v == nil {
		return nil
	}
	text := format(v)
	if k.Type == Password {
		text = Hidden
	}
	return &text
}

// Definitions returns the keys in the form of Connect's REST interface, with
// orders counted within each group where they are not set.
func (d Def) Definitions() []Definition {
	last := make(map[string]int)
	out := make([]Definition, len(d))
	for i, k := range d {
		last[k.Group]++
		if k.Order != 0 {
			last[k.Group] = k.Order
		}
		out[i] = k.definition(last[k.Group])
	}
	return out
}

func (k Key) definition(order int) Definition {
	out := Definition{
		Name: k.Name, Type: string(k.Type), Required: k.Required, Documentation: k.Doc,
		Importance: string(k.Importance), Width: string(k.Width), DisplayName: k.DisplayName,
		Dependents: append([]string{}, k.Dependents...), Order: order,
	}
	if v, err := k.defaultValue(); err == nil {
		out.DefaultValue = k.shown(v)
	}
	if k.Importance == "" {
		out.Importance = string(Medium)
	}
	if k.Width == "" {
		out.Width = string(NoWidth)
	}
	if k.DisplayName == "" {
		out.DisplayName = k.Name
	}
	if k.Group != "" {
		out.Group = &k.Group
	}
	return out
}

// Groups returns the groups in the order in which they first occur.
func (d Def) Groups() []string {
	out := []string{}
	seen := make(map[string]bool)
	for _, k := range d {
		if k.Group != "" && !seen[k.Group] {
			seen[k.Group] = true
			out = append(out, k.Group)
		}
	}
	return out
}
