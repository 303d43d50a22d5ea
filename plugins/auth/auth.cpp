#include "api_key.h"
#include "forward_auth.h"
#include "introspection.h"
#include "jwt.h"

using auth::ApiKey;
using auth::ForwardAuth;
using auth::Introspection;
using auth::Jwt;
GW_PLUGIN(ApiKey, Jwt, Introspection, ForwardAuth)
