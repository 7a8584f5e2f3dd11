package report

import (
	"encoding/xml"
	"fmt"
	"io"

	"github.com/effml/effml/internal/job"
)

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string        `xml:"name,attr"`
	Class   string        `xml:"classname,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr"`
	Text    string `xml:",chardata"`
}

// JUnit writes the job itself and its gates as test cases, in the XML that CI servers read. Class is the
// command, subject the file it worked on.
func JUnit(w io.Writer, class, subject string, seconds float64, gates []job.Gate) error {
	class, subject = Clean(class), Clean(subject)
	s := junitSuite{Name: class, Time: fmt.Sprintf("%.3f", seconds)}
	s.Cases = append(s.Cases, junitCase{Name: subject, Class: class, Time: s.Time})
	for i, row := range gateRows(gates) {
		c := junitCase{Name: gates[i].Name, Class: class, Time: "0"}
		if !gates[i].Passed {
			c.Failure = &junitFailure{Message: row[3], Type: "gate", Text: fmt.Sprintf("%s: %s: %s", subject, gates[i].Name, row[3])}
			s.Failures++
		}
		s.Cases = append(s.Cases, c)
	}
	s.Tests = len(s.Cases)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
