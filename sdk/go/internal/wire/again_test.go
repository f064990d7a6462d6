package wire

import "testing"

func TestAgainIsOneKnownExtension(t *testing.T) {
	for ext, expected := range map[Ext]bool{
		"":                           false,
		Again:                        true,
		"\x82\xa1x\x01\xa5again\xc3": true,
		"\x81\xa5again\xc2":          false,
		"\x81\xa5again\x01":          false,
	} {
		if got := ext.IsAgain(); got != expected {
			t.Errorf("%x: %v", string(ext), got)
		}
	}
}
