package Torture::Nginx;

# Copyright (C) the nginx gray module authors
#
# The nginx that is tortured: a Test::Gray that may be found in any state.
# Each text of nginx.conf has a number, and each zone, by which answers can be
# told: a zone is another one after a start, an upgrade, or with another size.

use strict;
use warnings;

use Test::Gray;
use Test::Gray::Process;

our @ISA = ('Test::Gray');

our $workers = 4;


# backends  ports of v1 and v2
# history   how many revisions the journal keeps; without it there is none
# reuseport each worker has a queue of connections of its own
# threads   of a worker

sub new {
    my ($class, %option) = @_;

    my $self = $class->SUPER::new(daemon => 'on', level => 'notice',
                                  conf => 0, zone => 0, pages => 0, %option);

    mkdir $self->dir . '/records';

    return $self;
}


# what nginx.conf number N declares: by its name another one each time

sub declared {
    my ($self, $conf) = @_;

    return { mark => "conf-$conf", enabled => 1, weight => $conf % 50 };
}


# the next nginx.conf, for that zone

sub configure {
    my ($self, $zone) = @_;

    my $conf = ++$self->{conf};
    my $declared = $self->declared($conf);
    my ($v1, $v2) = @{ $self->{backends} };
    my $size = 1024 + 4 * ($self->{pages} % 2);
    my $decided = join ' ', map { "\$gray_checkout$_" }
                            qw(_revision), '', qw(_reason _rule);
    my $threads = $self->{threads}
                  ? "thread_pool default threads=$self->{threads};" : '';
    my $listen = $self->{reuseport} ? ' reuseport' : '';
    my $history = $self->{history} ? " history=$self->{history}" : '';

    $self->config(<<"END");
worker_processes $workers;
$threads

http {
    gray_zone gray ${size}k state=state$history;

    keepalive_requests 1000000000;
    keepalive_timeout  3600;

    upstream v1 { server 127.0.0.1:$v1; keepalive 16; keepalive_timeout 5s; }
    upstream v2 { server 127.0.0.1:$v2; keepalive 16; keepalive_timeout 5s; }

    proxy_http_version 1.1;
    proxy_set_header   Connection "";

    gray_release checkout {
        zone    gray;
        hash    \$arg_uid;
        variant stable v1;
        variant canary v2 weight=$declared->{weight}%;
        match   canary \$arg_u = probe name=$declared->{mark};
    }

    server {
        listen 127.0.0.1:%%PORT%%$listen;

        location / { proxy_pass http://checkout; }

        location = /decision {
            return 200 "$zone $conf \$pid $decided";
        }

        location /gray/ {
            gray_admin;
            add_header X-Process "$zone $conf \$pid" always;
        }
    }
}
END

    return $conf;
}


# all processes of nginx, by what they call themselves

sub found {
    my ($self, $regex) = @_;

    return grep { command_line($_) =~ /^nginx: $regex/ } $self->processes;
}


sub found_workers { return $_[0]->found(qr/worker process/) }
sub found_masters { return $_[0]->found(qr/master process/) }


# the master, as it is now

sub set_master { $_[0]{master} = $_[1] }


# starts nginx and does not wait; returns the process, which ends when nginx
# has started or cannot

sub launch {
    my ($self) = @_;

    my @command = $self->command('-c', "$self->{dir}/nginx.conf");

    return $self->inside(sub { $self->spawn(@command) });
}


# of a launched one: its status, undef while it is on the way

sub launched {
    my ($self, $pid) = @_;

    return unless waitpid($pid, POSIX::WNOHANG()) == $pid;

    my $status = $?;

    delete $self->{children}{$pid};

    return $status;
}


sub journal_file { return $_[0]{dir} . '/state/checkout.jsonl' }


1;
