"""Trade costs on live books: what an order would cost before it is sent."""
