#include "api_key.h"
#include "jwt.h"

using auth::ApiKey;
using auth::Jwt;
GW_PLUGIN(ApiKey, Jwt)
