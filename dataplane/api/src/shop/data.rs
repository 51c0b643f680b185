//! The people and products that the sample shop knows.

use serde::Serialize;

/// A customer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct User {
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    pub(crate) email: &'static str,
}

/// Something for sale.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Product {
    pub(crate) id: u32,
    pub(crate) name: &'static str,
    pub(crate) category: &'static str,
    pub(crate) price: f64,
}

const fn user(id: u32, name: &'static str, email: &'static str) -> User {
    User { id, name, email }
}

const fn product(id: u32, name: &'static str, category: &'static str, price: f64) -> Product {
    Product {
        id,
        name,
        category,
        price,
    }
}

pub(crate) const USERS: &[User] = &[
    user(1, "Ada Okafor", "ada.okafor@example.com"),
    user(2, "Bruno Keller", "bruno.keller@example.com"),
    user(3, "Chiara Rossi", "chiara.rossi@example.com"),
    user(4, "Dmitri Volkov", "dmitri.volkov@example.com"),
    user(5, "Elena Petrova", "elena.petrova@example.com"),
    user(6, "Farid Haddad", "farid.haddad@example.com"),
    user(7, "Grace Mwangi", "grace.mwangi@example.com"),
    user(8, "Hiro Tanaka", "hiro.tanaka@example.com"),
];

pub(crate) const PRODUCTS: &[Product] = &[
    product(1, "Espresso machine", "kitchen", 249.0),
    product(2, "Pour-over kettle", "kitchen", 59.9),
    product(3, "Bread knife", "kitchen", 34.5),
    product(4, "Desk lamp", "office", 45.0),
    product(5, "Mechanical keyboard", "office", 129.0),
    product(6, "Notebook, dotted", "office", 9.9),
    product(7, "Trail shoes", "sport", 119.0),
    product(8, "Water bottle", "sport", 19.9),
    product(9, "Yoga mat", "sport", 39.0),
    product(10, "Wool blanket", "home", 79.0),
    product(11, "Table clock", "home", 29.0),
    product(12, "Reading lamp", "home", 54.0),
];
