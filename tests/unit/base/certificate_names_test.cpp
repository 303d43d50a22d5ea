#include "base/certificate_names.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace penstock;

namespace {

using Normal = std::string_view (*)(std::string_view, std::span<char>);

// Behind exactly the room that is promised, so that a sanitizer sees one byte too many.
std::string normal(Normal form, std::string_view text) {
  std::vector<char> room(room_for(text));
  const std::string_view out = form(text, room);
  return out.data() == nullptr ? "none" : std::string(out);
}
std::string subject(std::string_view text) { return normal(&normal_subject, text); }
std::string name(std::string_view text) { return normal(&normal_alternative_name, text); }
std::string fingerprint(std::string_view text) { return normal(&normal_fingerprint, text); }

}  // namespace

TEST_CASE("subjects are equal whatever their writing, and only then") {
  const std::string billing = subject("CN=billing,O=Example Inc");
  for (const char* same :
       {"cn=billing,o=Example Inc", "CN=Billing,O=EXAMPLE  INC", " CN = billing , O = Example Inc ",
        "commonName=billing,organizationName=Example Inc", "2.5.4.3=billing,OID.2.5.4.10=Example Inc",
        "CN=\\62illing,O=Example\\20Inc", "CN=\"billing\",O=\"Example Inc\"",
        "CN=#0C0762696C6C696E67,O=Example Inc", "2.5.4.3=#130762696c6c696e67,O=Example Inc"}) {
    CAPTURE(same);
    CHECK(subject(same) == billing);
  }
  for (const char* other :
       {"O=Example Inc,CN=billing", "CN=billing", "CN=billing,O=ExampleInc", "CN=billing+O=Example Inc",
        "CN=billing\\,O=Example Inc", "CN=billing,O=Example Inc,O=Example Inc", "OU=billing,O=Example Inc",
        "CN=billing,O=Example Inc\\00", "CN=\\C3\\9Cbilling,O=Example Inc"}) {
    CAPTURE(other);
    CHECK(subject(other) != billing);
    CHECK(subject(other) != "none");
  }
}

TEST_CASE("the order within a multi-valued part does not count, and separators in values separate nothing") {
  CHECK(subject("OU=a+CN=b,O=c") == subject("CN=b+OU=a,O=c"));
  CHECK(subject("OU=a+CN=b,O=c") != subject("OU=b+CN=a,O=c"));
  CHECK(subject("CN=a\\+OU=b") != subject("CN=a+OU=b"));
  CHECK(subject("CN=a\\,OU\\=b") != subject("CN=a,OU=b"));
  CHECK(subject("CN=a\\,OU=b") == subject("CN=a\\2cOU\\3Db"));
  CHECK(subject("CN=\"a,b\"") == subject("CN=a\\,b"));
  CHECK(subject("CN=a\\\\") != subject("CN=a"));
  CHECK(subject("CN=\\#0c0161") != subject("CN=#0c0161"));
}

TEST_CASE("values of types that are not known to be text count byte for byte") {
  CHECK(subject("1.2.3.4=Abc") != subject("1.2.3.4=abc"));
  CHECK(subject("1.2.3.4=#0c03416263") == subject("1.2.3.4=Abc"));
  CHECK(subject("1.2.3.4=#0403416263") == subject("1.2.3.4=#0403416263"));
  CHECK(subject("1.2.3.4=#0403416263") != subject("1.2.3.4=Abc"));
  CHECK(subject("1.2.3.4=a  b") != subject("1.2.3.4=a b"));
}

TEST_CASE("what is no distinguished name is none") {
  for (const char* text :
       {"",         " ",        "billing",      "CN",      "=a",        "CN=a,",     "CN=a,,O=b",
        "CN=a;O=b", "CN=a\\",   "CN=a\\g",      "CN=a\\4", "CN=\"a",    "CN=\"a\"b", "CN=#",
        "CN=#0c",   "CN=#0c05", "CN=#0c0161zz", "CN=<a>",  "/CN=a/O=b", "CN=a+",     "C N=a"}) {
    CAPTURE(text);
    CHECK(subject(text) == "none");
  }
  CHECK(subject(std::string("CN=a\0b", 6)) == "none");
  std::string many = "CN=a";
  for (int i = 0; i < 15; ++i) many += "+CN=a";
  CHECK(subject(many) != "none");
  CHECK(subject(many + "+CN=a") == "none");
  CHECK(subject("CN=") == "cn=,");
  CHECK(subject("CN=,+=\\") == "none");
}

TEST_CASE("alternative names have one form each") {
  CHECK(name("DNS:A.Example.") == "DNS:a.example");
  CHECK(name("dns:a.example") == "DNS:a.example");
  CHECK(name("DNS:*.example") == "DNS:*.example");
  CHECK(name("email:Ann@Example.COM") == "email:Ann@example.com");
  CHECK(name("IP:2001:DB8:0:0::1") == "IP:2001:db8::1");
  CHECK(name("IP:192.0.2.1") == "IP:192.0.2.1");
  CHECK(name("URI:spiffe://Example/ns/A") == "URI:spiffe://Example/ns/A");
  for (const char* text : {"", "DNS:", "DNS:.", "a.example", "IP:", "IP:192.0.2", "IP:a.example", "email:ann",
                           "email:@a", "email:a@", "URI:nothing", "RID:1.2.3"}) {
    CAPTURE(text);
    CHECK(name(text) == "none");
  }
}

TEST_CASE("a fingerprint is 64 hexadecimal digits, with colons or without") {
  const std::string plain(64, 'a');
  std::string colons = "AA";
  for (int i = 1; i < 32; ++i) colons += ":AA";
  CHECK(fingerprint(plain) == plain);
  CHECK(fingerprint(colons) == plain);
  CHECK(fingerprint(std::string(63, 'a')) == "none");
  CHECK(fingerprint(std::string(95, 'a')) == "none");
  CHECK(fingerprint(std::string(64, 'g')) == "none");
  CHECK(fingerprint("sha256:" + plain) == "none");
}
