// Routes are matched in the form that is forwarded: no way of writing a path gets past the route that closes
// it, and the backend receives exactly the path that was matched, with the query byte for byte.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "e2e/harness/client.h"
#include "e2e/harness/gateway.h"
#include "e2e/harness/recording.h"

using namespace e2e;

namespace {

struct Path {
  std::string sent;
  int status;
  std::string forwarded = {};  // with 200
};

const std::vector<Path>& paths() {
  static const std::vector<Path> table{
      {"/admin", 401},
      {"/admin/", 401},
      {"/admin/x", 401},
      {"/admin?a=b", 401},
      {"/admin/../admin", 401},
      {"//admin", 401},
      {"///admin//x", 401},
      {"/./admin", 401},
      {"/././/admin", 401},
      {"/x/../admin", 401},
      {"/x/y/../../admin", 401},
      {"/x//../admin", 401},
      {"/%61dmin", 401},
      {"/%61%64%6D%69%6e", 401},
      {"/x/%2e%2e/admin", 401},
      {"/x/.%2E/admin", 401},
      {"/%2e/admin", 401},
      {"/x/%2e%2e//%61dmin", 401},
      {"http://x/admin", 401},
      {"http://x//admin", 401},
      {"HTTP://y/x/../%61dmin", 401},
      {"/admin%2fx", 400},
      {"/x%2f..%2fadmin", 400},
      {"/x/..%2Fadmin", 400},
      {"/%2fadmin", 400},
      {"/\\admin", 400},
      {"/x\\..\\admin", 400},
      {"/%5cadmin", 400},
      {"/x/..%5Cadmin", 400},
      {"/..", 400},
      {"/../admin", 400},
      {"/%2e%2e/admin", 400},
      {"/x/../../admin", 400},
      {"/admin%00", 400},
      {"/%00/admin", 400},
      {"/%zz", 400},
      {"/%", 400},
      {"/%4", 400},
      {"/admin#x", 400},
      {"/x#/../admin", 400},
      {"/", 200, "/"},
      {"/x", 200, "/x"},
      {"/x/", 200, "/x/"},
      {"/x//y/./z/../w/", 200, "/x/y/w/"},
      {"/x/..", 200, "/"},
      {"/x/.", 200, "/x/"},
      {"//evil.example/a", 200, "/evil.example/a"},
      {"/%41dmin", 200, "/Admin"},
      {"/ADMIN", 200, "/ADMIN"},
      {"/administration", 200, "/administration"},
      {"/admin.", 200, "/admin."},
      {"/admin%20", 200, "/admin%20"},
      {"/admin;x", 200, "/admin;x"},
      {"/admin%3f", 200, "/admin%3F"},
      {"/admin%23x", 200, "/admin%23x"},
      {"/%2561dmin", 200, "/%2561dmin"},
      {"/%252e%252e/admin", 200, "/%252e%252e/admin"},
      {"/%c3%a4%7e%2d", 200, "/%C3%A4~-"},
      {"/...", 200, "/..."},
      {"/.admin", 200, "/.admin"},
      {"/x?/../admin", 200, "/x?/../admin"},
      {"/x?%2f%5c%00%zz//..", 200, "/x?%2f%5c%00%zz//.."},
      {"/x?", 200, "/x?"},
      {"/x??a", 200, "/x??a"},
      {"http://x", 200, "/"},
      {"http://x?/../admin", 200, "/?/../admin"},
  };
  return table;
}

}  // namespace

TEST_CASE("however a path is written, it is matched and forwarded in one form") {
  Recording backend;
  Gateway gateway(
      basics("plugins:\n  keys: { type: api_key, header: x-api-key }\n"
             "consumers:\n  - { name: app, credentials: { api_keys: [swordfish-1] } }\n"
             "routes:\n"
             "  - { name: open, match: { path_prefix: / }, public: true, upstream: u }\n"
             "  - { name: closed, match: { path_prefix: /admin }, auth: keys, upstream: u }\n"
             "upstreams: { u: { endpoints: \"" +
             backend.endpoint() + "\" } }\n"));
  for (const Path& path : paths()) {
    CAPTURE(path.sent);
    Client client(gateway.port());
    client.send("GET " + path.sent + " HTTP/1.1\r\nHost: x\r\n\r\n");
    Response response = client.read_response();
    CHECK(response.status == path.status);
    if (path.status == 200) CHECK(response.body == path.forwarded);
    CHECK(backend.take().size() == (path.status == 200 ? 1 : 0));
  }
  CHECK(backend.strange() == "");
}
