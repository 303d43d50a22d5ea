#include "e2e/random_gateway.h"

#include "e2e/harness/process.h"

namespace e2e {
namespace {

std::string random_path_condition(Dice& dice, bool version) {
  if (version) return std::string("path_prefix: ") + dice.pick({"'/{version}/x'", "['/{version}/x', /x]"});
  switch (dice.below(5)) {
    case 0: return std::string("path: ") + dice.pick({"/x", "/x/y", "/users/7", "/"});
    case 1:
      return std::string("path: ") + dice.pick({"'/users/{id}'", "'/{a}/y'", "'/x/{b}/'", "'/{a}/{b}'"});
    case 2: return std::string("path_regex: ") + dice.pick({"'/x/[0-9]+'", "'/(x|users)/.*'", "'.*y'"});
    default: return std::string("path_prefix: ") + dice.pick({"/", "/x", "/x/y", "/users", "[/x, /users]"});
  }
}

std::string random_match(Dice& dice, bool version) {
  std::string match = random_path_condition(dice, version);
  if (!dice.one_in(3))
    match += std::string(", host: ") +
             dice.pick({"a.test", "b.test", "'*.test'", "'*.a.test'", "[a.test, '*.b.test']"});
  if (dice.one_in(3)) match += std::string(", methods: ") + dice.pick({"[GET]", "[GET, PUT]", "[POST]"});
  if (dice.one_in(4))
    match += std::string(", headers: { x-t: ") +
             dice.pick({"present", "absent", "'1'", "{ regex: '[0-9]+' }"}) + " }";
  if (dice.one_in(5))
    match += std::string(", query: { q: ") + dice.pick({"present", "absent", "'1'", "'a b'"}) + " }";
  return "{ " + match + " }";
}

std::string random_target(Dice& dice) {
  switch (dice.below(6)) {
    case 0: return "split: { u1: 3, u2: 1 }, split_by: header.x-key";
    case 1: return "split: { u1: 1, u2: 1, u3: 2 }, split_by: client.address";
    case 2: return "redirect: { path: /elsewhere, status: 301 }";
    case 3: return "respond: { status: 200, body: fixed }";
    case 4: return "upstream: u2";
    default: return "upstream: u1";
  }
}

std::string random_auth(Dice& dice) {
  switch (dice.below(6)) {
    case 0: return "auth: keys";
    case 1: return "auth: { any_of: [keys, tokens] }";
    case 2: return "auth: { any_of: [tokens, keys], allow: { groups: [admins, 'tokens:ops'] } }";
    case 3: return "auth: { all_of: [keys, tokens], deny: { consumers: bob } }";
    case 4: return "auth: { any_of: keys, optional: true, allow: { groups: admins } }";
    default: return "public: true";
  }
}

std::string random_version(Dice& dice) {
  return std::string("version: { from: [path.version, header.x-v, query.v, accept], ") +
         dice.pick({"", "default: v2, "}) + "unknown: " + dice.pick({"reject", "nearest_lower"}) +
         ", versions: { v1: { upstream: u1, deprecated: 2020-01-01 }, v2: { upstream: u2 }, "
         "v2.5: { upstream: u3, sunset: 2021-01-01 }, v4: { respond: { status: 200, body: four } } } }";
}

}  // namespace

std::string random_configuration(Dice& dice, const std::string& endpoint) {
  std::string out =
      "consumers:\n"
      "  - { name: ann, groups: [admins], credentials: { api_keys: [ann-key] } }\n"
      "  - { name: bob, groups: [users], credentials: { api_keys: [bob-key], jwt: [{ plugin: tokens, value: "
      "bob }] } }\n"
      "plugins:\n  keys: { type: api_key, header: x-api-key }\n"
      "  tokens: { type: jwt, algorithms: [HS256], secret: 0123456789abcdef0123456789abcdef, consumer_claim: "
      "sub, "
      "groups_claim: roles }\n"
      "  plenty: { type: rate_limit, key: [client.address, header.x-key], limits: [1000000/s] }\n"
      "defaults: { route: { response_headers: { set: { x-route: '{route.name}', x-version: '{api.version}', "
      "x-upstream: '{upstream.name}', x-consumer: '{consumer.id}' } } } }\n"
      "upstreams:\n";
  for (const char* name : {"u1", "u2", "u3"})
    out += std::string("  ") + name + ": { endpoints: '" + endpoint + "' }\n";
  out += "routes:\n";
  size_t count = 3 + dice.below(10);
  for (size_t i = 0; i < count; ++i) {
    bool version = dice.one_in(3);
    out += "  - { name: r" + std::to_string(i) + ", priority: " + std::to_string(i) +
           ", match: " + random_match(dice, version) + ", " + random_auth(dice) + ", " +
           (version ? random_version(dice) : random_target(dice)) +
           (dice.one_in(3) ? ", before_auth: plenty" : "") +
           (version && dice.one_in(2) ? ", rewrite: { path_prefix: /o }" : "") + " }\n";
  }
  return out;
}

Tokens make_tokens() {
  Ran ran = run({"/usr/bin/python3", "-c", R"(
import base64, hashlib, hmac, json
def b(x): return base64.urlsafe_b64encode(x).rstrip(b"=")
def token(claims, key=b"0123456789abcdef0123456789abcdef"):
    text = b(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()) + b"." + b(json.dumps(claims).encode())
    return (text + b"." + b(hmac.new(key, text, hashlib.sha256).digest())).decode()
far = 4102444800
print(token({"sub": "bob", "exp": far}))
print(token({"sub": "carol", "exp": far, "roles": ["ops"]}))
print(token({"sub": "bob", "exp": 1}))
print(token({"sub": "bob", "exp": far}, b"another key of thirty-two bytes!"))
)"});
  Tokens tokens;
  std::string* all[] = {&tokens.valid, &tokens.admin, &tokens.expired, &tokens.forged};
  size_t at = 0;
  for (std::string* token : all) {
    size_t end = ran.out.find('\n', at);
    *token = ran.out.substr(at, end - at);
    at = end + 1;
  }
  return tokens;
}

RandomRequest random_request(Dice& dice, const Tokens& tokens) {
  RandomRequest request;
  request.method = dice.pick({"GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"});
  request.host =
      dice.pick({"a.test", "b.test", "x.a.test", "c.b.test", "A.Test", "a.test:80", "a.test.", "none"});
  if (dice.one_in(12)) {
    request.target = dice.pick({"/x%zz", "/x%2Fy", "/../x", "/x%00", "/x\\y", "/%5Cx"});
  } else {
    size_t segments = dice.below(4);
    for (size_t i = 0; i < segments; ++i)
      request.target += std::string("/") + dice.pick({"x", "x", "y", "users", "7", "v1", "v2", "v2.5", "v3",
                                                      "v4", "v9.1", "%78", ".", "..", "", "a%20b", "%c3%a9"});
    if (request.target.empty() || dice.one_in(6)) request.target += "/";
  }
  if (dice.one_in(4))
    request.target += std::string("?") + dice.pick({"q=1", "q", "q=a%20b", "v=v1", "v=2&q=1", "z"});
  auto add = [&](const char* name, std::string value) {
    request.headers.emplace_back(name, std::move(value));
  };
  if (dice.one_in(3)) add("x-t", dice.pick({"1", "22", "no", ""}));
  if (dice.one_in(2)) add("x-key", dice.pick({"k1", "k2", "k3", "k4", "k5", "k6"}));
  if (dice.one_in(4)) add("x-v", dice.pick({"v1", "2", "v4", "nine", ""}));
  if (dice.one_in(8))
    add("accept", dice.pick({"application/json;version=1", "application/vnd.acme.v2+json", "*/*"}));
  if (!dice.one_in(3)) add("x-api-key", dice.pick({"ann-key", "ann-key", "bob-key", "wrong"}));
  if (dice.one_in(20)) add("x-api-key", "ann-key");
  if (dice.one_in(2)) {
    const std::string* all[] = {&tokens.valid, &tokens.admin, &tokens.admin, &tokens.expired, &tokens.forged};
    add("authorization", "Bearer " + *all[dice.below(5)]);
  }
  if (dice.one_in(20)) add("authorization", "Bearer junk");
  return request;
}

}  // namespace e2e
