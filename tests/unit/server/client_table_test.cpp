#include "server/client_table.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using penstock::net::Address;
using penstock::server::ClientTable;

namespace {
ClientTable::Key key(const char* ip) { return ClientTable::key_of(*Address::from_ip(ip, 1234)); }
}  // namespace

TEST_CASE("a client has its places, and another one has its own") {
  ClientTable table;
  CHECK(table.enter(key("192.0.2.1"), 2));
  CHECK(table.enter(key("192.0.2.1"), 2));
  CHECK(!table.enter(key("192.0.2.1"), 2));
  CHECK(table.enter(key("192.0.2.2"), 2));
  table.leave(key("192.0.2.1"));
  CHECK(table.enter(key("192.0.2.1"), 2));
  CHECK(!table.enter(key("192.0.2.1"), 2));
}

TEST_CASE("an IPv6 client is its /64, a mapped address is the IPv4 one, a unix peer is not counted") {
  CHECK(key("2001:db8:0:1::1") == key("2001:db8:0:1:ffff::2"));
  CHECK(key("2001:db8:0:1::1") != key("2001:db8:0:2::1"));
  CHECK(key("::ffff:192.0.2.1") == key("192.0.2.1"));
  CHECK(ClientTable::key_of(Address{}).family == AF_UNSPEC);
}

TEST_CASE("places are exact while several workers take and give them back") {
  ClientTable table;
  std::vector<std::thread> workers;
  for (int worker = 0; worker < 4; ++worker)
    workers.emplace_back([&] {
      for (int i = 0; i < 20'000; ++i) {
        ClientTable::Key one = key(i % 2 ? "192.0.2.1" : "2001:db8::1");
        if (table.enter(one, 3)) table.leave(one);
      }
    });
  for (std::thread& worker : workers) worker.join();
  for (int i = 0; i < 3; ++i) CHECK(table.enter(key("192.0.2.1"), 3));
  CHECK(!table.enter(key("192.0.2.1"), 3));
}
