#include "net/address.h"

#include <doctest/doctest.h>

#include <array>

using namespace penstock::net;

TEST_CASE("addresses with port are read and written back") {
  struct Row {
    const char* text;
    const char* written;
    bool is_loopback;
  };
  for (const Row& row : std::array{
           Row{"127.0.0.1:80", "127.0.0.1:80", true},
           Row{"127.9.8.7:0", "127.9.8.7:0", true},
           Row{"0.0.0.0:65535", "0.0.0.0:65535", false},
           Row{"[::1]:443", "[::1]:443", true},
           Row{"[::]:1", "[::]:1", false},
           Row{"[2001:DB8:0:0::1]:8080", "[2001:db8::1]:8080", false},
           Row{"[::ffff:10.1.2.3]:8", "10.1.2.3:8", false},
           Row{"[::ffff:127.0.0.1]:8", "127.0.0.1:8", true},
       }) {
    CAPTURE(row.text);
    auto address = Address::parse(row.text);
    REQUIRE(address.has_value());
    CHECK(address->valid());
    CHECK(address->to_string() == row.written);
    CHECK(address->is_loopback() == row.is_loopback);
    CHECK(*Address::parse(row.text) == *address);
    CHECK(Address::from_sockaddr(&address->any) == *address);
  }
}

TEST_CASE("what is no literal address with a port is refused") {
  for (const char* text : {"",
                           ":",
                           ":80",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:+1",
                           "127.0.0.1: 80",
                           "127.0.0.1:80 ",
                           "127.0.0.1:8x",
                           "127.1:80",
                           "127.0.0.01:80",
                           "256.0.0.1:80",
                           "::1:80",
                           "[::1]",
                           "[::1]80",
                           "[::1:80",
                           "::1]:80",
                           "[127.0.0.1]:80",
                           "[]:80",
                           "[fe80::1%eth0]:80",
                           "localhost:80",
                           "[1:2:3:4:5:6:7:8:9]:80",
                           "1.2.3.4.5:1"}) {
    CAPTURE(text);
    CHECK(!Address::parse(text).has_value());
  }
  CHECK(!Address::from_ip(std::string_view("127.0.0.1\0x", 11), 1).has_value());
  CHECK(!Address().valid());
}

TEST_CASE("addresses differ by family, host and port") {
  auto a = *Address::parse("10.0.0.1:80");
  CHECK(a == *Address::parse("10.0.0.1:80"));
  CHECK(!(a == *Address::parse("10.0.0.1:81")));
  CHECK(!(a == *Address::parse("10.0.0.2:80")));
  CHECK(!(a == *Address::parse("[::ffff:10.0.0.1]:80")));
  a.set_port(81);
  CHECK(a == *Address::parse("10.0.0.1:81"));
  CHECK(a.port() == 81);
  auto b = *Address::parse("[::1]:5");
  b.set_port(6);
  CHECK(b.port() == 6);
}

TEST_CASE("the IP alone is written without brackets") {
  CHECK(Address::parse("[2001:db8::a]:1")->ip() == "2001:db8::a");
  CHECK(Address::parse("[::ffff:1.2.3.4]:1")->ip() == "1.2.3.4");
  CHECK(Address::parse("192.0.2.7:1")->ip() == "192.0.2.7");
  CHECK(Address().ip().empty());
}

TEST_CASE("a block contains what shares its first bits") {
  struct Row {
    const char* block;
    const char* ip;
    bool inside;
  };
  for (const Row& row : std::array{
           Row{"10.0.0.0/8", "10.255.0.1", true},
           Row{"10.0.0.0/8", "11.0.0.1", false},
           Row{"10.1.2.3/8", "10.9.9.9", true},
           Row{"192.0.2.128/25", "192.0.2.127", false},
           Row{"192.0.2.128/25", "192.0.2.255", true},
           Row{"192.0.2.1", "192.0.2.1", true},
           Row{"192.0.2.1", "192.0.2.2", false},
           Row{"0.0.0.0/0", "203.0.113.9", true},
           Row{"0.0.0.0/0", "::1", false},
           Row{"10.0.0.0/8", "::ffff:10.0.0.1", true},
           Row{"::ffff:10.0.0.0/104", "10.20.30.40", true},
           Row{"::ffff:10.0.0.0/104", "11.20.30.40", false},
           Row{"::1/128", "::1", true},
           Row{"::1/128", "::2", false},
           Row{"2001:db8::/32", "2001:db8:ffff::1", true},
           Row{"2001:db8::/33", "2001:db8:8000::1", false},
           Row{"2001:db8::/33", "2001:db8:7fff::1", true},
           Row{"::/0", "2001:db8::1", true},
           Row{"::/0", "10.0.0.1", false},
           Row{"::/0", "::ffff:10.0.0.1", false},
       }) {
    CAPTURE(row.block);
    CAPTURE(row.ip);
    auto block = Cidr::parse(row.block);
    REQUIRE(block.has_value());
    CHECK(block->contains(*Address::from_ip(row.ip, 80)) == row.inside);
  }
  CHECK(!Cidr::parse("0.0.0.0/0")->contains(Address()));
}

TEST_CASE("what is no block is refused") {
  for (const char* text :
       {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8", "::/129",
        "10.0.0.0/ 8", "10.0.0.0 /8", "all", "10.0.0.0/8x", "10.0.0.0/255.0.0.0"}) {
    CAPTURE(text);
    CHECK(!Cidr::parse(text).has_value());
  }
}

TEST_CASE("whoever comes through a unix socket has no IP and is written unix:") {
  Address peer = Address::unix_peer();
  CHECK(peer.is_unix());
  CHECK(!peer.valid());
  CHECK(peer.ip() == "unix:");
  CHECK(peer.to_string() == "unix:");
  CHECK(peer.port() == 0);
  CHECK(!peer.is_loopback());
  CHECK(peer == Address::unix_peer());
  CHECK(!(peer == *Address::from_ip("127.0.0.1", 0)));
  sockaddr_storage raw{};
  raw.ss_family = AF_UNIX;
  CHECK(Address::from_sockaddr(reinterpret_cast<sockaddr*>(&raw)) == peer);

  for (const char* text : {"unix", "unix:"}) {
    auto peers = Cidr::parse(text);
    REQUIRE(peers.has_value());
    CHECK(peers->contains(peer));
    CHECK(!peers->contains(*Address::from_ip("0.0.0.0", 0)));
    CHECK(!peers->contains(*Address::from_ip("::", 0)));
  }
  CHECK(!Cidr::parse("0.0.0.0/0")->contains(peer));
  CHECK(!Cidr::parse("::/0")->contains(peer));
}
