package connector

import "testing"

func TestParseTaskID(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want TaskID
		ok   bool
	}{
		{"orders-0", TaskID{"orders", 0}, true},
		{"my-orders-12", TaskID{"my-orders", 12}, true},
		{"orders", TaskID{}, false},
		{"-1", TaskID{}, false},
		{"orders-x", TaskID{}, false},
		{"orders--1", TaskID{"orders-", 1}, true},
	} {
		got, err := ParseTaskID(tt.in)
		if (err == nil) != tt.ok || got != tt.want {
			t.Errorf("ParseTaskID(%q) = %v, %v; want %v, ok=%v", tt.in, got, err, tt.want, tt.ok)
		}
		if tt.ok && got.String() != tt.in {
			t.Errorf("%v prints as %q, want %q", got, got.String(), tt.in)
		}
	}
}

// KIP-745 orders: only-failed connector < with tasks < connector < all.
func TestRestartImpactOrder(t *testing.T) {
	order := []RestartRequest{
		{OnlyFailed: true}, {OnlyFailed: true, IncludeTasks: true}, {}, {IncludeTasks: true},
	}
	for i := 1; i < len(order); i++ {
		if order[i-1].Impact() >= order[i].Impact() {
			t.Errorf("%+v has impact %d, not below %+v with %d", order[i-1], order[i-1].Impact(), order[i], order[i].Impact())
		}
	}
}

func TestConfigEqual(t *testing.T) {
	a := Config{"a": "1", "b": ""}
	for _, tt := range []struct {
		b    Config
		want bool
	}{
		{Config{"a": "1", "b": ""}, true},
		{Config{"a": "1", "c": ""}, false},
		{Config{"a": "1"}, false},
		{Config{"a": "2", "b": ""}, false},
	} {
		if got := a.Equal(tt.b); got != tt.want {
			t.Errorf("%v.Equal(%v) = %v, want %v", a, tt.b, got, tt.want)
		}
	}
}
