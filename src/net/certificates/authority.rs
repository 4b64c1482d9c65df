//! stub
/// stub
pub struct LocalAuthority;
