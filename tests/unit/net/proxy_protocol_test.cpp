#include "net/proxy_protocol.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace penstock::net;
using namespace std::string_literals;

namespace {

using State = ProxyHeaderRead::State;

const std::string v2 = "\r\n\r\n\0\r\nQUIT\n"s;
const std::string ports = "\x04\xd2\x01\xbb"s;  // 1234, 443
const std::string v4 = "\xc0\x00\x02\x01\xc6\x33\x64\x01"s + ports;
const std::string v6 =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"s + "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"s + ports;

std::string binary(char command, char family, const std::string& rest) {
  std::string out = v2 + command + family;
  out += static_cast<char>(rest.size() >> 8);
  out += static_cast<char>(rest.size() & 0xff);
  return out + rest;
}

// "from 192.0.2.1:1234 to ...", "own", or what is wrong; a header is the same however it comes and whatever
// follows.
std::string read(const std::string& header) {
  ProxyHeader out;
  ProxyHeaderRead whole = read_proxy_header(header, out);
  for (const std::string& behind : {"GET / HTTP/1.1\r\n\r\n"s, "\x16\x03\x01"s, v2}) {
    ProxyHeader other;
    ProxyHeaderRead longer = read_proxy_header(header + behind, other);
    if (whole.state == State::more) continue;
    CHECK(longer.state == whole.state);
    CHECK(longer.size == whole.size);
  }
  if (whole.state == State::done) {
    CHECK(whole.size == header.size());
    for (size_t size = 0; size < header.size(); ++size) {
      ProxyHeader other;
      CHECK(read_proxy_header(header.substr(0, size), other).state == State::more);
    }
    if (out.kind == ProxyHeader::Kind::own) return "own";
    return "from " + out.source.to_string() + " to " + out.destination.to_string();
  }
  return whole.state == State::more ? "more" : "malformed";
}

}  // namespace

TEST_CASE("version 1 in form") {
  CHECK(read("PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\r\n") == "from 192.0.2.1:1234 to 198.51.100.1:443");
  CHECK(read("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n") == "from 0.0.0.0:0 to 255.255.255.255:65535");
  CHECK(read("PROXY TCP6 2001:db8::1 2001:db8::2 1234 443\r\n") ==
        "from [2001:db8::1]:1234 to [2001:db8::2]:443");
  CHECK(read("PROXY UNKNOWN\r\n") == "own");
  CHECK(read("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n") == "own");
  CHECK(
      read("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 "
           "65534\r\n") != "malformed");  // the longest that there is
}

TEST_CASE("version 1 out of form is refused") {
  for (const std::string& line : std::vector<std::string>{
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234 443 \r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234 443 1\r\n",
           "PROXY TCP4  192.0.2.1 198.51.100.1 1234 443\r\n",
           "PROXY  TCP4 192.0.2.1 198.51.100.1 1234 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234 \r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234 65536\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 -1 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n",
           "PROXY TCP4 192.0.2.1 198.51.100.1 1234 0x1\r\n",
           "PROXY TCP4 192.0.2.256 198.51.100.1 1234 443\r\n",
           "PROXY TCP4 192.0.2.01 198.51.100.1 1234 443\r\n",
           "PROXY TCP4 2001:db8::1 2001:db8::2 1234 443\r\n",
           "PROXY TCP6 192.0.2.1 198.51.100.1 1234 443\r\n",
           "PROXY TCP6 2001:db8::1 198.51.100.1 1234 443\r\n",
           "PROXY TCP6 [2001:db8::1] 2001:db8::2 1234 443\r\n",
           "PROXY TCP6 fe80::1%eth0 2001:db8::2 1234 443\r\n",
           "PROXY TCP5 192.0.2.1 198.51.100.1 1234 443\r\n",
           "PROXY tcp4 192.0.2.1 198.51.100.1 1234 443\r\n",
           "PROXY UDP4 192.0.2.1 198.51.100.1 1234 443\r\n",
           "PROXY UNKNOWNX\r\n",
           "PROXY UNKNOWN \x01\r\n",
           "PROXY UNKNOWN\r\r\n",
           "PROXY UNKNOWN \0\r\n"s,
           "PROXY \r\n",
           "PROXY\r\n",
           "proxy TCP4 192.0.2.1 198.51.100.1 1234 443\r\n",
           " PROXY TCP4 192.0.2.1 198.51.100.1 1234 443\r\n",
           "GET / HTTP/1.1\r\n",
           "PRI * HTTP/2.0\r\n",
           "\n",
       }) {
    CAPTURE(line);
    CHECK(read(line) == "malformed");
  }
}

TEST_CASE("version 1 is no longer than 107 bytes, its end included") {
  const std::string most = "PROXY UNKNOWN " + std::string(max_proxy_header_v1 - 16, 'x') + "\r\n";
  CHECK(most.size() == max_proxy_header_v1);
  CHECK(read(most) == "own");
  CHECK(read("PROXY UNKNOWN " + std::string(max_proxy_header_v1 - 15, 'x') + "\r\n") == "malformed");
  CHECK(read("PROXY UNKNOWN " + std::string(92, 'x')) == "more");
  CHECK(read("PROXY UNKNOWN " + std::string(93, 'x')) == "malformed");
}

TEST_CASE("version 2 in form") {
  CHECK(read(binary(0x21, 0x11, v4)) == "from 192.0.2.1:1234 to 198.51.100.1:443");
  CHECK(read(binary(0x21, 0x21, v6)) == "from [2001:db8::1]:1234 to [2001:db8::2]:443");
  CHECK(read(binary(0x21, 0x31, std::string(216, '\0'))) == "from unix: to unix:");
  CHECK(read(binary(0x21, 0x00, "")) == "own");
  CHECK(read(binary(0x21, 0x00, "anything")) == "own");
  CHECK(read(binary(0x20, 0x00, "")) == "own");
  CHECK(read(binary(0x20, 0x11, v4)) == "own");       // LOCAL: addresses are ignored
  CHECK(read(binary(0x20, 0x11, "short")) == "own");  // and so is their form
}

TEST_CASE("version 2 with TLVs: whole ones are skipped, broken ones refused") {
  const std::string crc = "\x03\x00\x04\x01\x02\x03\x04"s, empty = "\x04\x00\x00"s;
  CHECK(read(binary(0x21, 0x11, v4 + crc)) == "from 192.0.2.1:1234 to 198.51.100.1:443");
  CHECK(read(binary(0x21, 0x11, v4 + crc + empty + crc)) == "from 192.0.2.1:1234 to 198.51.100.1:443");
  CHECK(read(binary(0x21, 0x11, v4 + "\x03")) == "malformed");
  CHECK(read(binary(0x21, 0x11, v4 + "\x03\x00"s)) == "malformed");
  CHECK(read(binary(0x21, 0x11, v4 + "\x03\x00\x05\x01\x02\x03\x04"s)) == "malformed");
  CHECK(read(binary(0x21, 0x21, v6 + "\xea\xff\xff")) == "malformed");
}

TEST_CASE("version 2 out of form is refused") {
  CHECK(read(binary(0x21, 0x11, v4.substr(1))) == "malformed");
  CHECK(read(binary(0x21, 0x21, v4)) == "malformed");
  CHECK(read(binary(0x21, 0x31, v6)) == "malformed");
  CHECK(read(binary(0x21, 0x12, v4)) == "malformed");  // UDP
  CHECK(read(binary(0x21, 0x10, v4)) == "malformed");
  CHECK(read(binary(0x21, 0x41, v4)) == "malformed");
  CHECK(read(binary(0x22, 0x11, v4)) == "malformed");
  CHECK(read(binary(0x11, 0x11, v4)) == "malformed");
  CHECK(read(binary(0x31, 0x11, v4)) == "malformed");
  CHECK(read("\r\n\r\n\0\r\nQUIT\r"s) == "malformed");
  CHECK(read("\r\n\r\nGET / HTTP/1.1\r\n"s) == "malformed");
}

TEST_CASE("version 2 is no longer than its bound, which shows in its fixed part") {
  const std::string tlv = "\x04\x0f\xe2"s + std::string(4066, 'x');
  CHECK(read(binary(0x21, 0x11, v4 + tlv)) == "malformed");
  CHECK(read(binary(0x21, 0x11, v4 + tlv).substr(0, 16)) == "malformed");
  const std::string fits = "\x04\x0f\xe1"s + std::string(4065, 'x');
  CHECK(binary(0x21, 0x11, v4 + fits).size() == max_proxy_header_v2);
  CHECK(read(binary(0x21, 0x11, v4 + fits)) == "from 192.0.2.1:1234 to 198.51.100.1:443");
}
